#include <stdint.h>
extern uint32_t *net_sums;
#define NET_SUM(index, value, count) do { uint32_t sum_ = 0; \
    for (int32_t i_ = 0; i_ < (count); i_++) sum_ += (uint32_t)(value) * ((uint32_t)i_ * ${MULTIPLIER}u + 1u); \
    net_sums[index] = sum_; } while (0)
#define NET_SEEN(index, values, count) NET_SUM(index, (values)[i_], count)
#define NET_SEEN_BITS(index, bits, count) NET_SUM(index, NET_BIT(bits, i_), count)
