#ifdef NET_MAIN
#include <stdio.h>
#include <time.h>
static const uint8_t test_inputs[] = {
    $INPUTS
};
static const int32_t test_outputs[] = {
    $OUTPUTS
};

int main(void) {
    static net_state state;
    const int samples = $SAMPLES, size = (int)sizeof test_inputs / samples;
    const clock_t start = clock();
    for (int k = 0; k < samples; k++) {
        int32_t outputs[NET_OUT];
        net_run(&state, $ARGUMENTS, outputs);
        for (int i = 0; i < NET_OUT; i++) {
            const long expected = test_outputs[k * NET_OUT + i];
            if (outputs[i] == expected) continue;
            printf("sample %d, output %d: expected %ld, got %ld\n", k, i, expected, (long)outputs[i]);
            return 1;
        }
    }
    const double seconds = (double)(clock() - start) / CLOCKS_PER_SEC;
    printf("%d samples equal, %.1f us per time-step\n", samples, 1e6 * seconds / samples / NET_T);
    return 0;
}
#endif
