/* The types of weights that our products take. */
#ifndef SDPY_KERNELS_PRODUCT_NODES_H
#define SDPY_KERNELS_PRODUCT_NODES_H

#include <optional>

#include "kernels/product.h"

namespace sdpy {

/* Of a number in ggml's enumeration; none for a type that is left to ggml. */
std::optional<WeightType> weight_type(int ggml_type_number);

}  // namespace sdpy

#endif
