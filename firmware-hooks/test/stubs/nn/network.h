/* As much of a network that X-CUBE-AI generated as the glue touches. */
#ifndef NETWORK_H
#define NETWORK_H

#include <stdint.h>

typedef int32_t ai_i32;
typedef void *ai_handle;
typedef struct {
    void *data;
} ai_buffer;

ai_i32 ai_network_run(ai_handle network, const ai_buffer *input, ai_buffer *output);

#endif
