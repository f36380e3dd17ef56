#include <stdint.h>
#include "types.h"
#define IN uint8_t
#define OUT uint8_t
#define LEAST 0

/* Maximum of each channel over windows. */
static void NAME(OUT *restrict out, const IN *restrict in, const net_window *restrict w) {
    for (int32_t y = 0; y < w->out_height; y++)
        for (int32_t x = 0; x < w->out_width; x++, out += w->channels) {
            for (int32_t c = 0; c < w->channels; c++) out[c] = LEAST;
            for (int32_t row = y * w->down - w->top; row < y * w->down - w->top + w->rows; row++)
                for (int32_t column = x * w->right - w->left; column < x * w->right - w->left + w->columns; column++) {
                    if (row < 0 || row >= w->height || column < 0 || column >= w->width) continue;
                    const IN *restrict values = in + (row * w->width + column) * w->channels;
                    for (int32_t c = 0; c < w->channels; c++)
                        if (values[c] > out[c]) out[c] = (OUT)values[c];
                }
        }
}
