#include <stdint.h>
#include "types.h"
#define Q uint8_t
#define K uint8_t
#define V uint8_t
#define OUT int32_t
#define PRODUCTS 16
#define READ_Q(values, i) ((values)[i])
#define READ_K(values, i) ((values)[i])
#define READ_V(values, i) ((values)[i])

/* Attention q (k^T v) within each head. The products of keys and values of a head are one block. */
static void NAME(OUT *restrict out, const Q *restrict q, const K *restrict k, const V *restrict v,
                 const net_heads *restrict h) {
    int32_t products[PRODUCTS];
    for (int32_t head = 0; head < h->heads; head++) {
        for (int32_t i = 0; i < h->keys * h->values; i++) products[i] = 0;
        for (int32_t p = 0; p < h->key_positions; p++)
            for (int32_t a = 0; a < h->keys; a++) {
                const int32_t group = p * h->heads + head, first = group * h->values;
                const int32_t n = READ_K(k, group * h->keys + a);
                if (n == 0) continue;
                for (int32_t b = 0; b < h->values; b++) products[a * h->values + b] += n * READ_V(v, first + b);
            }
        for (int32_t p = 0; p < h->positions; p++) {
            const int32_t group = p * h->heads + head;
            OUT *restrict sums = out + group * h->values;
            for (int32_t b = 0; b < h->values; b++) sums[b] = 0;
            for (int32_t a = 0; a < h->keys; a++) {
                const int32_t n = READ_Q(q, group * h->keys + a);
                if (n == 0) continue;
                for (int32_t b = 0; b < h->values; b++) sums[b] = (OUT)(sums[b] + n * products[a * h->values + b]);
            }
        }
    }
}
