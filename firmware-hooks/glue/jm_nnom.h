/* Glue for NNoM: `jm_model_run(model)` in place of `model_run(model)`. */
#ifndef JM_NNOM_H
#define JM_NNOM_H

#include "jm_hooks.h"
#include "nnom.h"

static inline nnom_status_t jm_model_run(nnom_model_t *model)
{
    jm_infer_begin();
    const nnom_status_t status = model_run(model);
    jm_infer_end();
    return status;
}

#endif
