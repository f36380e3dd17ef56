#include <stdint.h>
#include "types.h"
#define SUM int32_t
#define LANE int16_t
#define LANES 8
#define COUNT (LANE)values[*event]
#define PRODUCTS 1
#define PAUSE (stop - event > room ? event + room : stop)
#define FLUSHED 1
#define ADD +=
#define WIDE 1
#define WIDEN NET_FEW_16

/* Sums of some vectors of outputs at one position, in registers. Sums that may exceed 16 bits are flushed in time. */
static inline __attribute__((always_inline)) void NAME_vectors(SUM *restrict out, const net_events *restrict in,
                                                               const int8_t *restrict weights, int32_t y, int32_t x,
                                                               const net_window *restrict w, const int vectors) {
    typedef LANE lanes __attribute__((vector_size(sizeof(LANE) * LANES)));
    typedef SUM wide __attribute__((vector_size(sizeof(SUM) * LANES), aligned(sizeof(SUM)), may_alias));
    const int32_t left = x * w->right - w->left, right = left + w->columns;
    const int32_t first = left < 0 ? 0 : left, last = right > w->width ? w->width : right;
    lanes sums[8];
    NET_UNROLL for (int v = 0; v < vectors; v++) sums[v] = (lanes){0};
#if FLUSHED
    int32_t room = in->room;
    for (int32_t o = 0; o < vectors * LANES; o++) out[o] = 0;
#endif
    for (int32_t i = 0; i < w->rows; i++) {
        const int32_t row = y * w->down - w->top + i * w->row_step;
        if (row < 0 || row >= w->height) continue;
        const int32_t slot = row & (in->rows - 1), *ends = in->ends + slot * (w->width + 1);
        const uint16_t *event = in->list + slot * in->size + ends[first];
        const uint16_t *const stop = in->list + slot * in->size + ends[last];
        const int32_t shift = (i * w->columns - left) * w->channels;
#if PRODUCTS
        const uint8_t *restrict values = in->values + row * w->width * w->channels;
#endif
        while (event < stop) {
            const uint16_t *const pause = PAUSE;
#if FLUSHED
            room -= (int32_t)(pause - event);
#endif
            for (; event < pause; event++) {
                const int8_t *kernel = weights + (shift + *event) * w->outputs;
                const LANE n = COUNT;
                NET_UNROLL for (int v = 0; v < vectors; v++)
                    sums[v] += (lanes)WIDEN(kernel + v * LANES) * n;
            }
#if FLUSHED
            if (room) continue;
            NET_UNROLL for (int v = 0; v < vectors; v++) {
                ((wide *)out)[v] += __builtin_convertvector(sums[v], wide);
                sums[v] = (lanes){0};
            }
            room = in->room;
#endif
        }
    }
    NET_UNROLL for (int v = 0; v < vectors; v++)
        ((wide *)out)[v] ADD __builtin_convertvector(sums[v], wide);
}

/* Sums of weight * input over the window of one output position, from the lists of events. */
static inline void NAME(SUM *restrict sums, const net_events *restrict in, const int8_t *restrict weights, int32_t y,
                        int32_t x, const net_window *restrict w) {
    const int32_t end = w->outputs;
    int32_t o = 0;
#if WIDE
    for (; o + 8 * LANES <= end; o += 8 * LANES) NAME_vectors(sums + o, in, weights + o, y, x, w, 8);
    for (; o + 4 * LANES <= end; o += 4 * LANES) NAME_vectors(sums + o, in, weights + o, y, x, w, 4);
#endif
    for (; o + 2 * LANES <= end; o += 2 * LANES) NAME_vectors(sums + o, in, weights + o, y, x, w, 2);
    /* The last vector may overlap the one before it, whose sums it computes again. */
    for (; o < end; o += LANES) {
        o = o + LANES > end ? end - LANES : o;
        NAME_vectors(sums + o, in, weights + o, y, x, w, 1);
    }
}
