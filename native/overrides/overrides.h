/* Forced into every translation unit of the engine. Names that the engine calls are re-pointed here to our own functions;
 * the engine's source stays as it is. All units must see the same names: the engine's classes are inline, and the linker
 * keeps whichever unit's copy it meets first.
 */
#ifndef SDPY_OVERRIDES_H
#define SDPY_OVERRIDES_H

#ifdef __cplusplus

#include "ggml-alloc.h"
#include "ggml-backend.h"
#include "ggml.h"
#include "overrides/stdio.h"
#include "stable-diffusion.h"

/* Runs a graph in slices: between slices the cancel flag is looked at and progress is reported. */
enum ggml_status sdpy_graph_compute(ggml_backend_t backend, struct ggml_cgraph *graph);
/* Like the originals, but running out of memory is an exception and not a null that nobody checks. What they allocate is
 * counted. A model that is made under a LoadPlan gets no memory for its weights, and a phase that is only measured ends
 * where it would allocate its compute buffer. */
ggml_backend_buffer_t sdpy_alloc_ctx_tensors(struct ggml_context *context, ggml_backend_t backend);
bool sdpy_gallocr_reserve(ggml_gallocr_t allocator, struct ggml_cgraph *graph);
bool sdpy_gallocr_alloc_graph(ggml_gallocr_t allocator, struct ggml_cgraph *graph);
void sdpy_gallocr_free(ggml_gallocr_t allocator);
/* Our own convolution where it fits and a Kernels object says so. */
struct ggml_tensor *sdpy_conv_2d(struct ggml_context *context, struct ggml_tensor *w, struct ggml_tensor *x, int s0,
                                 int s1, int p0, int p1, int d0, int d1);
/* Our own product where it fits, likewise; it has no precision to set. */
struct ggml_tensor *sdpy_mul_mat(struct ggml_context *context, struct ggml_tensor *w, struct ggml_tensor *x);
void sdpy_mul_mat_set_prec(struct ggml_tensor *node, enum ggml_prec precision);
/* Keeps what is no number, likewise. */
struct ggml_tensor *sdpy_relu_inplace(struct ggml_context *context, struct ggml_tensor *x);
/* The engine's log and progress functions share one buffer and one callback per process; ours belong to a job. */
void sdpy_engine_log(enum sd_log_level_t level, const char *file, int line, const char *format, ...);
void sdpy_engine_progress(int step, int steps, float seconds);

#define ggml_backend_graph_compute sdpy_graph_compute
#define ggml_backend_alloc_ctx_tensors sdpy_alloc_ctx_tensors
#define ggml_gallocr_reserve sdpy_gallocr_reserve
#define ggml_gallocr_alloc_graph sdpy_gallocr_alloc_graph
#define ggml_gallocr_free sdpy_gallocr_free
#define ggml_conv_2d sdpy_conv_2d
#define ggml_mul_mat sdpy_mul_mat
#define ggml_mul_mat_set_prec sdpy_mul_mat_set_prec
#define ggml_relu_inplace sdpy_relu_inplace
#ifndef SDPY_DEFINES_ENGINE_LOG /* the engine's util.cpp, which defines the originals */
#define log_printf sdpy_engine_log
#define pretty_progress sdpy_engine_progress
#endif

#endif
#endif
