/* Set all potentials to their initial values, before the first time-step. The bounds hold for NET_T time-steps. */
void net_reset(net_state *state) {
$RESETS
}

/* One time-step. The outputs are those of this time-step. */
void net_step(net_state *state, $INPUTS, int32_t *outputs) {
$BODY
}

/* All time-steps, from the initial state. Returns the class. */
int net_run(net_state *state, $INPUTS, int32_t *outputs) {
    int32_t step[NET_OUT];
    int best = 0;
    net_reset(state);
    for (int i = 0; i < NET_OUT; i++) outputs[i] = 0;
    for (int32_t t = 0; t < NET_T; t++) {
        net_step(state, $FRAMES, step);
        for (int i = 0; i < NET_OUT; i++) outputs[i] $ADD step[i];
    }
    for (int i = 1; i < NET_CLASSES; i++)
        if (outputs[i] > outputs[best]) best = i;
    return best;
}
