#include <stdint.h>
#include "types.h"
#define IN uint8_t
#define OUT uint8_t
#define LEAST 0
#define READ(values, i) ((values)[i])
#define RESULT(values, i) ((values)[i])
#define WRITE(values, i, n) ((values)[i] = (n))

/* Maximum of each channel over windows. */
static void NAME(OUT *restrict out, const IN *restrict in, const net_window *restrict w) {
    int32_t first = 0;
    for (int32_t y = 0; y < w->out_height; y++)
        for (int32_t x = 0; x < w->out_width; x++, first += w->channels) {
            for (int32_t c = 0; c < w->channels; c++) WRITE(out, first + c, LEAST);
            for (int32_t row = y * w->down - w->top; row < y * w->down - w->top + w->rows; row++)
                for (int32_t column = x * w->right - w->left; column < x * w->right - w->left + w->columns; column++) {
                    if (row < 0 || row >= w->height || column < 0 || column >= w->width) continue;
                    const int32_t source = (row * w->width + column) * w->channels;
                    for (int32_t c = 0; c < w->channels; c++) {
                        const IN n = (IN)READ(in, source + c);
                        if (n > RESULT(out, first + c)) WRITE(out, first + c, n);
                    }
                }
        }
}
