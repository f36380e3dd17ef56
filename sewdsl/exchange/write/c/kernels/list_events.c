#include "types.h"
#define BYTES 1
#define READ(values, i) ((values)[i])

/* List the inputs of the rows that the window of an output row is the first to reach: n times an input of n. */
static void NAME(net_events *events, int32_t y, const net_window *w) {
    const int32_t top = y * w->down - w->top, bottom = top + (w->rows - 1) * w->row_step, copies = events->copies;
#if BYTES && defined __AVX512VBMI2__
    uint16_t numbers[32];
    for (int32_t i = 0; i < 32; i++) numbers[i] = (uint16_t)i;
#endif
    if (events->next < top) events->next = top;
    for (; events->next <= bottom && events->next < w->height; events->next++) {
        const int32_t slot = events->next & (events->rows - 1);
        const uint8_t *restrict values = events->values;
        const int32_t first = events->next * w->width * w->channels;
        uint16_t *restrict list = events->list + slot * events->size;
        int32_t *restrict ends = events->ends + slot * (w->width + 1), count = 0, i = 0;
        ends[0] = 0;
        for (int32_t x = 0; x < w->width; x++) {
            const int32_t stop = i + w->channels;
#if BYTES && defined __AVX512VBMI2__
            for (; i + 32 <= stop; i += 32) {
                const __m512i index = _mm512_add_epi16(_mm512_set1_epi16((short)i), _mm512_loadu_si512(numbers));
                for (int32_t k = 0; k < copies; k++) {
                    const __m256i n = _mm256_loadu_si256((const void *)(values + first + i));
                    const __mmask32 active = _mm256_cmpgt_epu8_mask(n, _mm256_set1_epi8((char)k));
                    _mm512_storeu_si512(list + count, _mm512_maskz_compress_epi16(active, index));
                    count += __builtin_popcount(active);
                }
            }
#endif
            for (; i < stop; i++)
                for (int32_t k = 0; k < copies; k++) {
                    const int32_t element = first + i;
                    list[count] = (uint16_t)i;
                    count += READ(values, element) > k;
                }
            ends[x + 1] = count;
        }
    }
}
