/*
 * Glue for CMSIS-NN, which has kernels and no run(): the firmware's own function calls them layer by layer.
 *
 *   static arm_cmsis_nn_status network(void *context) { ... arm_convolve_s8(...) ... }
 *   status = jm_cmsis_nn_run(network, &context);
 */
#ifndef JM_CMSIS_NN_H
#define JM_CMSIS_NN_H

#include "arm_nn_types.h"
#include "jm_hooks.h"

static inline arm_cmsis_nn_status jm_cmsis_nn_run(arm_cmsis_nn_status (*network)(void *context), void *context)
{
    jm_infer_begin();
    const arm_cmsis_nn_status status = network(context);
    jm_infer_end();
    return status;
}

#endif
