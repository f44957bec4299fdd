/* All kernels as one module, so that one PTX file holds them. */
#include "accumulate.cu"
#include "adamw.cu"
#include "dropout_mask.cu"
#include "importance.cu"
#include "mask_counts.cu"
#include "merge.cu"
#include "squared_norm.cu"
#include "threshold.cu"
