#include <stdint.h>
#include "types.h"
#define IN uint8_t
#define SUM int32_t
#define PRODUCT(n, weight) ((n) * (weight))
#define READ(values, i) ((values)[i])
#define SKIP(i)

/* Sums of weight * input over the window of one output position. Zeros of the input are skipped, as the padding is. */
static inline void NAME(SUM *restrict sums, const IN *restrict values, const int8_t *restrict weights, int32_t y, int32_t x,
                 const net_window *restrict w) {
    const int32_t inputs = w->channels / w->groups, outputs = w->outputs / w->groups;
    for (int32_t o = 0; o < w->outputs; o++) sums[o] = 0;
    for (int32_t i = 0; i < w->rows; i++) {
        const int32_t row = y * w->down - w->top + i * w->row_step;
        if (row < 0 || row >= w->height) continue;
        for (int32_t j = 0; j < w->columns; j++) {
            const int32_t column = x * w->right - w->left + j * w->column_step;
            if (column < 0 || column >= w->width) continue;
            const int32_t first = (row * w->width + column) * w->channels;
            const int8_t *restrict tap = weights + (i * w->columns + j) * inputs * w->outputs;
            for (int32_t g = 0; g < w->groups; g++)
                for (int32_t c = 0; c < inputs; c++) {
                    const int32_t element = first + g * inputs + c;
                    SKIP(element)
                    const SUM n = (SUM)READ(values, element);
                    if (n == 0) continue;
                    const int8_t *restrict kernel = tap + c * w->outputs + g * outputs;
                    SUM *restrict group = sums + g * outputs;
                    for (int32_t o = 0; o < outputs; o++) group[o] = (SUM)(group[o] + PRODUCT(n, kernel[o]));
                }
        }
    }
}
