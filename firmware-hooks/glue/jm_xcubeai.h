/*
 * Glue for X-CUBE-AI, whose functions carry the network's name. Include the generated header first:
 *
 *   #include "network.h"
 *   JM_XCUBEAI_RUN(network)                            makes jm_ai_network_run
 *   batches = jm_ai_network_run(handle, input, output) in place of ai_network_run
 */
#ifndef JM_XCUBEAI_H
#define JM_XCUBEAI_H

#include "jm_hooks.h"

#define JM_XCUBEAI_RUN(name)                                                                                           \
    static inline ai_i32 jm_ai_##name##_run(ai_handle network, const ai_buffer *input, ai_buffer *output)              \
    {                                                                                                                  \
        jm_infer_begin();                                                                                              \
        const ai_i32 batches = ai_##name##_run(network, input, output);                                                \
        jm_infer_end();                                                                                                \
        return batches;                                                                                                \
    }

#endif
