#include <stdint.h>
#include "types.h"
#define Q uint8_t
#define K uint8_t
#define V uint8_t
#define OUT int32_t
#define PRODUCTS 16

/* Attention q (k^T v) within each head. The products of keys and values of a head are one block. */
static void NAME(OUT *restrict out, const Q *restrict q, const K *restrict k, const V *restrict v,
                 const net_heads *restrict h) {
    int32_t products[PRODUCTS];
    for (int32_t head = 0; head < h->heads; head++) {
        for (int32_t i = 0; i < h->keys * h->values; i++) products[i] = 0;
        for (int32_t p = 0; p < h->key_positions; p++)
            for (int32_t a = 0; a < h->keys; a++) {
                const int32_t n = k[(p * h->heads + head) * h->keys + a];
                if (n == 0) continue;
                for (int32_t b = 0; b < h->values; b++)
                    products[a * h->values + b] += n * v[(p * h->heads + head) * h->values + b];
            }
        for (int32_t p = 0; p < h->positions; p++) {
            OUT *restrict sums = out + (p * h->heads + head) * h->values;
            for (int32_t b = 0; b < h->values; b++) sums[b] = 0;
            for (int32_t a = 0; a < h->keys; a++) {
                const int32_t n = q[(p * h->heads + head) * h->keys + a];
                if (n == 0) continue;
                for (int32_t b = 0; b < h->values; b++) sums[b] = (OUT)(sums[b] + n * products[a * h->values + b]);
            }
        }
    }
}
