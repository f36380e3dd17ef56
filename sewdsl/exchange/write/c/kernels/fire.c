#include <stdint.h>
#include "types.h"
#define IN int32_t
#define STATE int32_t
#define LEAK(u) u -= (u >> 15) * neuron->leak + (((u & 32767) * neuron->leak + (1 << 14)) >> 15);
#define GAIN neuron->gain
#define LIMIT
#define RESET 0

/* U <- U - round(U * leak / 2^15) + n * gain + drift; a spike if U >= threshold, then U <- reset, or U - threshold. */
static inline void NAME(STATE *restrict potentials, uint8_t *restrict spikes, const IN *restrict in,
                        const int32_t *restrict drift, const net_neuron *restrict neuron) {
    for (int32_t c = 0; c < neuron->channels; c++) {
        int32_t u = potentials[c];
        LEAK
        u += (int32_t)in[c] * GAIN + drift[c];
        LIMIT
        const int spike = u >= neuron->thresholds[c];
        spikes[c] = (uint8_t)spike;
        potentials[c] = (STATE)(spike ? RESET : u);
    }
}
