#include "jm_net.h"

#include "jm_net_weights.h"

#define FEATURES 10u
#define KERNEL_1 8u
#define STRIDE_1 2u
#define CHANNELS_1 12u
#define FRAMES_1 21u
#define KERNEL_2 3u
#define STRIDE_2 2u
#define CHANNELS_2 16u
#define FRAMES_2 10u

static int8_t activation_1[FRAMES_1 * CHANNELS_1];
static int8_t activation_2[FRAMES_2 * CHANNELS_2];

static int32_t dot(const int8_t *a, const int8_t *b, uint32_t n, int32_t start)
{
    int32_t sum = start;
    for (uint32_t k = 0u; k < n; k++) {
        sum += (int32_t)a[k] * (int32_t)b[k];
    }
    return sum;
}

/* sum * multiplier / 2^shift, rounded half away from zero, and clipped to 127. */
static int8_t rescale(int32_t sum, int32_t multiplier, uint32_t shift)
{
    const uint32_t magnitude = (sum < 0) ? (0u - (uint32_t)sum) : (uint32_t)sum;
    const uint64_t product = (uint64_t)magnitude * (uint32_t)multiplier;
    uint64_t scaled = (product + ((uint64_t)1u << (shift - 1u))) >> shift;
    if (scaled > 127u) {
        scaled = 127u;
    }
    return (int8_t)((sum < 0) ? -(int32_t)scaled : (int32_t)scaled);
}

static int8_t relu(int8_t value)
{
    return (value < 0) ? (int8_t)0 : value;
}

static void softmax(const int8_t logits[JM_NET_CLASSES], uint8_t scores[JM_NET_CLASSES])
{
    int32_t largest = logits[0];
    for (uint32_t c = 1u; c < JM_NET_CLASSES; c++) {
        if (logits[c] > largest) {
            largest = logits[c];
        }
    }
    uint32_t sum = 0u;
    for (uint32_t c = 0u; c < JM_NET_CLASSES; c++) {
        sum += jm_net_exp[largest - logits[c]];
    }
    for (uint32_t c = 0u; c < JM_NET_CLASSES; c++) {
        const uint32_t share = ((256u * jm_net_exp[largest - logits[c]]) + (sum / 2u)) / sum;
        scores[c] = (uint8_t)((share > 255u) ? 255u : share);
    }
}

void jm_net_run(const int8_t input[JM_NET_INPUT_BYTES], uint8_t scores[JM_NET_CLASSES])
{
    int8_t logits[JM_NET_CLASSES];
    for (uint32_t t = 0u; t < FRAMES_1; t++) {
        for (uint32_t c = 0u; c < CHANNELS_1; c++) {
            const uint32_t n = KERNEL_1 * FEATURES;
            const int32_t sum = dot(&input[t * STRIDE_1 * FEATURES], &jm_net_weights_1[c * n], n, jm_net_bias_1[c]);
            activation_1[(t * CHANNELS_1) + c] = relu(rescale(sum, JM_NET_MULTIPLIER_1, JM_NET_SHIFT_1));
        }
    }
    for (uint32_t t = 0u; t < FRAMES_2; t++) {
        for (uint32_t c = 0u; c < CHANNELS_2; c++) {
            const uint32_t n = KERNEL_2 * CHANNELS_1;
            const int32_t sum =
                dot(&activation_1[t * STRIDE_2 * CHANNELS_1], &jm_net_weights_2[c * n], n, jm_net_bias_2[c]);
            activation_2[(t * CHANNELS_2) + c] = relu(rescale(sum, JM_NET_MULTIPLIER_2, JM_NET_SHIFT_2));
        }
    }
    for (uint32_t c = 0u; c < JM_NET_CLASSES; c++) {
        const uint32_t n = FRAMES_2 * CHANNELS_2;
        const int32_t sum = dot(activation_2, &jm_net_weights_3[c * n], n, jm_net_bias_3[c]);
        logits[c] = rescale(sum, JM_NET_MULTIPLIER_3, JM_NET_SHIFT_3);
    }
    softmax(logits, scores);
}
