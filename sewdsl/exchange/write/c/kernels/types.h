/* Negative numbers must be shifted arithmetically, as all common compilers do. */
typedef char net_shifts_are_arithmetic[(-1 >> 1) == -1 ? 1 : -1];

/* Input of height x width x channels, window of rows x columns with strides, padding and distances between its taps. */
typedef struct {
    int32_t height, width, channels, out_height, out_width, outputs, rows, columns;
    int32_t down, right, top, left, row_step, column_step, groups;
} net_window;

/* Constants of a neuron layer. Gains and resets can be null pointers. */
typedef struct {
    const int32_t *gains, *thresholds, *resets;
    int32_t gain, leak, channels;
} net_neuron;

/* Heads of attention, with channels of keys and of values for each head. */
typedef struct {
    int32_t heads, positions, key_positions, keys, values;
} net_heads;

/* Sums of 16 bits in a vector register. 0 stands for plain C, without vectors and lists of events. */
#ifndef NET_LANES
#if !defined(__clang__) && (!defined(__GNUC__) || __GNUC__ < 9)
#define NET_LANES 0
#elif defined(__AVX512BW__)
#define NET_LANES 32
#elif defined(__AVX2__)
#define NET_LANES 16
#elif defined(__SSE2__) || defined(__ARM_NEON)
#define NET_LANES 8
#else
#define NET_LANES 0
#endif
#endif
#if NET_LANES
#ifdef __clang__
#define NET_UNROLL _Pragma("clang loop unroll(full)")
#else
#define NET_UNROLL _Pragma("GCC unroll 8")
#endif
/* A vector of weights as sums. GCC 12 needs twice as many instructions for its own conversions of long vectors. */
typedef int8_t net_bytes __attribute__((vector_size(8), aligned(1), may_alias));
typedef int16_t net_sums_16 __attribute__((vector_size(16)));
typedef int32_t net_sums_32 __attribute__((vector_size(32)));
#define NET_FEW_16(weights) __builtin_convertvector(*(const net_bytes *)(weights), net_sums_16)
#define NET_FEW_32(weights) __builtin_convertvector(NET_FEW_16(weights), net_sums_32)
#define NET_LANES_16 NET_LANES
#define NET_LANES_32 (NET_LANES > 16 ? NET_LANES / 2 : 8)
#if NET_LANES == 32
#include <immintrin.h>
#define NET_MANY_16(weights) _mm512_cvtepi8_epi16(_mm256_loadu_si256((const void *)(weights)))
#define NET_MANY_32(weights) _mm512_cvtepi8_epi32(_mm_loadu_si128((const void *)(weights)))
#elif NET_LANES == 16
#include <immintrin.h>
#define NET_MANY_16(weights) _mm256_cvtepi8_epi16(_mm_loadu_si128((const void *)(weights)))
#define NET_MANY_32(weights) _mm256_cvtepi8_epi32(_mm_loadl_epi64((const void *)(weights)))
#else
#define NET_MANY_16 NET_FEW_16
#define NET_MANY_32 NET_FEW_32
#endif

/* Events: indices of the inputs other than 0 of some rows, with the end of each position. Sums of 16 bits have room for
   a number of events. */
typedef struct {
    const uint8_t *values;
    uint16_t *list;
    int32_t *ends, rows, size, copies, room, next;
} net_events;
#define NET_EVENTS(name, in, rows, row, width, copies, room) \
    uint16_t name##_list[(rows) * (row) * (copies)]; \
    int32_t name##_ends[(rows) * ((width) + 1)]; \
    net_events name[1] = {{in, name##_list, name##_ends, rows, (row) * (copies), copies, room, 0}}
#define NET_LIST(list, name, y, window) list(name, y, window)
#else
#define NET_EVENTS(name, in, rows, row, width, copies, room) const uint8_t *const name = in
#define NET_LIST(list, name, y, window)
#endif

/* Called with each value and potential of a time-step, e.g. to print them. */
#ifndef NET_SEEN
#define NET_SEEN(index, values, count)
#endif

/* Spikes as bits: bit i % 8 of byte i / 8. */
#define NET_BIT(bits, i) ((bits)[(i) >> 3] >> ((i) & 7) & 1)
#define NET_SET_BIT(bits, i, spike) \
    ((bits)[(i) >> 3] = (uint8_t)(((bits)[(i) >> 3] & ~(1 << ((i) & 7))) | ((spike) & 1) << ((i) & 7)))
#ifndef NET_SEEN_BITS
#define NET_SEEN_BITS(index, bits, count)
#endif
