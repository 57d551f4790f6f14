/* The TensorFlow Lite Micro glue over an interpreter that is a stand-in. */
#include <cstdio>

#include "jm_tflm.h"

host_change_t host_log[HOST_LOG_LENGTH];
uint32_t host_changes = 0u;
uint32_t host_time_us = 0u;

namespace {

enum TfLiteStatus { kTfLiteOk = 0, kTfLiteError = 1 };

struct StandIn {
    TfLiteStatus answer;
    int level;
    TfLiteStatus Invoke()
    {
        level = host_log[host_changes - 1u].level;
        return answer;
    }
};

} // namespace

int main()
{
    StandIn good = {kTfLiteOk, -1};
    StandIn bad = {kTfLiteError, -1};
    const bool is_good = jm::Invoke(good) == kTfLiteOk && jm::Invoke(bad) == kTfLiteError;
    const bool is_marked = good.level == 1 && bad.level == 1 && host_changes == 4u && host_log[3].level == 0;
    std::printf("%d %d\n", is_good, is_marked);
    return is_good && is_marked ? 0 : 1;
}
