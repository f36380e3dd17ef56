static uint32_t all_sums[2 * NET_STEPS];
uint32_t *net_sums = all_sums;
void drive(const uint8_t *in, int32_t samples, int32_t size, int32_t *logits, uint32_t *sums) {
    static net_state state;
    int32_t step[NET_OUT];
    for (int32_t k = 0; k < samples; k++) {
        net_reset(&state);
        for (int32_t t = 0; t < NET_T; t++) {
            net_step(&state, $FRAMES, step);
            for (int32_t i = 0; i < 2 * NET_STEPS; i++) sums[(k * NET_T + t) * 2 * NET_STEPS + i] = all_sums[i];
        }
        net_run(&state, $SAMPLES, logits + k * NET_OUT);
    }
}
