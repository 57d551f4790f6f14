/* As much of CMSIS-NN as the glue touches. */
#ifndef ARM_NN_TYPES_H
#define ARM_NN_TYPES_H

typedef enum { ARM_CMSIS_NN_SUCCESS = 0, ARM_CMSIS_NN_ARG_ERROR = -1 } arm_cmsis_nn_status;

#endif
