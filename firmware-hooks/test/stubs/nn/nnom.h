/* As much of NNoM as the glue touches. */
#ifndef NNOM_H
#define NNOM_H

typedef enum { NN_SUCCESS = 0, NN_ARGUMENT_ERROR = -1 } nnom_status_t;
typedef struct {
    int id;
} nnom_model_t;

nnom_status_t model_run(nnom_model_t *model);

#endif
