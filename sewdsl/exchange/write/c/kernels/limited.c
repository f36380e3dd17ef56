#include <stdint.h>
/* Rounded current that saturates at a limit. */
static inline int32_t NAME(int64_t n, int32_t limit) {
    return n > limit ? limit : n < -limit ? -limit : (int32_t)n;
}
