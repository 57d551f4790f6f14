/*
 * A small int8 network: two convolutions over time, a dense layer and a softmax; 27,840 multiply-accumulates.
 * Made by make_network.py. Integer arithmetic only, so every machine gives the same answers.
 */
#ifndef JM_NET_H
#define JM_NET_H

#include <stdint.h>

#define JM_NET_INPUT_BYTES 490u
#define JM_NET_CLASSES 12u

/*
 * Runs the network. `input`: 49 frames of 10 features. `scores`: 12 values, probability times 256, at most 255.
 * Uses static scratch memory: not reentrant.
 */
void jm_net_run(const int8_t input[JM_NET_INPUT_BYTES], uint8_t scores[JM_NET_CLASSES]);

#endif
