// 3x3 convolutions by Winograd's way in the engine's graphs.
#include <algorithm>

#include "kernels/convolution_steps.h"
#include "kernels/pieces.h"
#include "kernels/winograd.h"

namespace sdpy {

namespace {

// With fewer, transforming tiles and weights takes what the products save.
constexpr int64_t fewest_channels = 64, fewest_pixels = 24 * 24;
// All packed weights go by for a piece.
constexpr int64_t fewest_tiles = 24;
// Each of them has some 8 MiB of room; others wait.
constexpr int most_threads = 32;

// Result: room for what each thread works on.
void make_room(ggml_tensor *, int, int, void *) {}

// Result (width, height, out channels, batch) of a padded picture, packed weights, room (size, threads), and weights.
void convolve(ggml_tensor *result, int thread, int threads, void *kernels) {
    const ggml_tensor *padded = result->src[0], *room = result->src[2];
    const int64_t with_room = std::min<int64_t>(threads, room->ne[1]);
    if (thread >= with_room) {
        return;
    }
    const Convolution shape = shape_of(result, result->src[3]);
    const int64_t tiles = tile_rows(shape) * tile_columns(shape), most = most_tiles(shape);
    const int64_t wanted = Pieces::wanted(static_cast<int>(with_room), std::max<int64_t>(1, tiles / fewest_tiles));
    const int64_t parts = std::max(wanted, (tiles + most - 1) / most);
    const Pieces pieces(result, static_cast<int>(with_room), parts * result->ne[3]);
    float *scratch = static_cast<float *>(room->data) + thread * room->ne[0];
    for (int64_t piece = pieces.next(); piece >= 0; piece = pieces.next()) {
        const int64_t n = piece / parts, part = piece % parts;
        kernels_of<WinogradKernels>(kernels).convolve(
            shape, picture_of(padded, n), static_cast<const float *>(result->src[1]->data), scratch,
            picture_of(result, n), share(tiles, part, parts), share(tiles, part + 1, parts));
    }
}

}  // namespace

bool pays_by_winograd(const Convolution &shape) {
    return shape.edge == 3 && std::min(shape.channels, shape.out_channels) >= fewest_channels &&
           shape.width * shape.height >= fewest_pixels;
}

bool is_winograd(const ggml_tensor *node) { return runs(node, convolve); }

double winograd_cost(const ggml_tensor *node) {
    const Convolution shape = shape_of(node, node->src[3]);
    return 2.0 * transformed / (tile_edge * tile_edge) * static_cast<double>(ggml_nelements(node) * shape.channels);
}

ggml_tensor *winograd_node(ggml_context *context, const WinogradKernels &kernels, int threads, ggml_tensor *w,
                           ggml_tensor *x) {
    const Convolution shape = shape_of(x, w);
    ggml_tensor *padded = kernel_node(context, pad_pictures<WinogradKernels>, &kernels, GGML_TYPE_F32, {x, w},
                                      spaced(shape.channels), tiled_width(shape), tiled_height(shape), x->ne[3]);
    ggml_tensor *packed = kernel_node(context, pack_weights<WinogradKernels>, &kernels, GGML_TYPE_F32, {w},
                                      packed_size(shape, kernels), 1, 1, 1);
    ggml_tensor *room = kernel_node(context, make_room, &kernels, GGML_TYPE_F32, {padded}, scratch_size(shape),
                                    std::min(threads, most_threads), 1, 1);
    return kernel_node(context, convolve, &kernels, GGML_TYPE_F32, {padded, packed, room, w}, shape.width, shape.height,
                       shape.out_channels, x->ne[3]);
}

}  // namespace sdpy
