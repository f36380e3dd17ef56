#include <stdint.h>
#include "types.h"
#define IN int32_t
#define STATE int32_t
#define WIDE int64_t
#define LIMIT

/* U <- U - round(U * leak / 2^15) + n * gain + drift; a spike if U >= threshold, then U <- reset, or U - threshold. */
static void NAME(STATE *restrict potentials, uint8_t *restrict spikes, const IN *restrict in,
                 const net_neuron *restrict neuron, const int32_t *restrict drift) {
    for (int32_t c = 0; c < neuron->channels; c++) {
        int32_t u = potentials[c];
        if (neuron->leak) u -= (int32_t)(((WIDE)u * neuron->leak + (1 << 14)) >> 15);
        u += (int32_t)in[c] * (neuron->gains ? neuron->gains[c] : neuron->gain) + drift[c];
        LIMIT
        const int spike = u >= neuron->thresholds[c];
        if (spike) u = neuron->soft ? u - neuron->thresholds[c] : neuron->resets ? neuron->resets[c] : 0;
        spikes[c] = (uint8_t)spike;
        potentials[c] = (STATE)u;
    }
}
