/* net.h: interface of the network */
#ifndef NET_H
#define NET_H
#include <stdint.h>

$DEFINES

/* Integers in the order row, column, channel. net_run reads time-steps one after another.
   Integers beyond these ranges can overflow.
   $ARRAYS */

/* Membrane potentials, and the values within a time-step. The caller owns the state. */
typedef struct {
$MEMBERS
} net_state;

#ifdef __cplusplus
extern "C" {
#endif

/* Set all potentials to their initial values, before the first time-step. The bounds hold for NET_T time-steps. */
void net_reset(net_state *state);

/* One time-step. The outputs are those of this time-step. */
void net_step(net_state *state, $INPUTS, int32_t *outputs);

/* All time-steps, from the initial state. Returns the class. */
int net_run(net_state *state, $INPUTS, int32_t *outputs);

#ifdef __cplusplus
}
#endif
#endif
/* end of net.h */
