/* Glue for TensorFlow Lite Micro (C++): `jm::Invoke(interpreter)` in place of `interpreter.Invoke()`. */
#ifndef JM_TFLM_H
#define JM_TFLM_H

#include "jm_hooks.h"

namespace jm {

/* One marked inference; gives what Invoke() gives. The mark ends also where Invoke() fails. */
template <typename Interpreter>
inline auto Invoke(Interpreter &interpreter) -> decltype(interpreter.Invoke())
{
    jm_infer_begin();
    const auto status = interpreter.Invoke();
    jm_infer_end();
    return status;
}

} // namespace jm

#endif
