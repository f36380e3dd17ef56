/* Negative numbers must be shifted arithmetically, as all common compilers do. */
typedef char net_shifts_are_arithmetic[(-1 >> 1) == -1 ? 1 : -1];

/* Input of height x width x channels, window of rows x columns with strides, padding and distances between its taps. */
typedef struct {
    int32_t height, width, channels, out_height, out_width, outputs, rows, columns;
    int32_t down, right, top, left, row_step, column_step, groups;
} net_window;

/* Constants of a neuron layer. A null pointer stands for one gain, or for resets to 0. */
typedef struct {
    const int32_t *gains, *thresholds, *resets;
    int32_t gain, leak, soft, channels;
} net_neuron;

/* Heads of attention, with channels of keys and of values for each head. */
typedef struct {
    int32_t heads, positions, key_positions, keys, values;
} net_heads;

/* Called with each value and potential of a time-step, e.g. to print them. */
#ifndef NET_SEEN
#define NET_SEEN(index, values, count)
#endif
