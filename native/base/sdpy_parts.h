/* Parts of the library by themselves, so that tests can hold them against plain arithmetic. Read as base/sdpy.h is. */
#ifndef SDPY_PARTS_H
#define SDPY_PARTS_H

#include "base/sdpy.h"

#ifdef __cplusplus
extern "C" {
#endif

/* cffi:begin */

/* What reading a file meets. */
typedef enum {
    SDPY_READING_WORKS,
    SDPY_READING_SHORT, /* half of the bytes come at first */
    SDPY_READING_ENDS,  /* the file is shorter than it was */
    SDPY_READING_FAILS  /* an error of the disk */
} sdpy_reading_fault;
typedef struct {
    uint64_t bytes_per_second; /* to all threads together; 0: as many as there come */
    int fault;                 /* sdpy_reading_fault */
    uint64_t fault_at;         /* which read meets it, from 0 */
    int not_ahead;             /* one place, and nothing is read while others compute */
} sdpy_reading_conditions;

/* What computing a node of a graph meets. */
typedef enum {
    SDPY_NODE_WORKS,
    SDPY_NODE_THROWS,
    SDPY_NODE_CHECK,     /* a failed check on the job's own thread */
    SDPY_NODE_FAILS,     /* the backend says that it failed */
    SDPY_NODE_NO_MEMORY, /* the backend says that memory ran out */
    SDPY_NODE_NAN,       /* its result is not numbers, where it is of float32 */
    SDPY_NODE_INFINITY
} sdpy_node_fault;

/* A tensor as the header of a file has it. */
typedef struct {
    char name[256];   /* cut where it is longer */
    int type;         /* ggml's number of the type that it has in memory */
    int64_t shape[5]; /* the fastest axis first */
    uint64_t offset;  /* from the file's begin */
    uint64_t bytes;   /* in the file */
} sdpy_stored_tensor;

/* Whether this CPU can run our kernels of a level: avx2, avx_vnni, avx512 or avx512_vnni. */
int sdpy_kernels_run(const char *level);
/* out (out_channels, height, width) = picture (channels, height, width), with zeros around it, convolved with weights
 * (out_channels, channels, edge, edge) of float16; the rest is float32. `edge`: 3 or 1. The work is cut into `parts` as
 * among so many threads. */
int sdpy_convolve(const char *level, const float *picture, const uint16_t *weights, float *out, int channels,
                  int height, int width, int out_channels, int edge, int parts, sdpy_failure *failure);
/* The same for edge 3, with a quarter of the multiplications (kernels/winograd.h). */
int sdpy_winograd(const char *level, const float *picture, const uint16_t *weights, float *out, int channels,
                  int height, int width, int out_channels, int parts, sdpy_failure *failure);
/* out (tokens, outputs) = activations (tokens, inputs) times the transposed weights (outputs, inputs), which are of ggml's
 * type of that number; and, where `rank` is more than 0, what a LoRA adds: inner (tokens, rank) times the transposed up
 * (outputs, rank). */
int sdpy_multiply(const char *level, int type, const void *weights, const float *activations, float *out, int inputs,
                  int outputs, int tokens, int parts, const float *inner, const float *up, int rank,
                  sdpy_failure *failure);
/* What the engine reads in the header of a GGUF or safetensors file: at most `capacity` tensors; `count` is how many there
 * are. Not SDPY_OK where it refuses the file. */
int sdpy_read_header(const char *path, sdpy_stored_tensor *tensors, int capacity, int *count, sdpy_failure *failure);
/* Into which places a streamed part's blocks go, whose sizes and order of use are given, when there is `room` for weights
 * and `outside` bytes of them stand outside of blocks: `places` gets -1 for a block that stays, else 0 or 1, and `bytes`
 * the sizes of the two places. SDPY_OUT_OF_MEMORY where the room is less than the least. */
int sdpy_lay_out(uint64_t outside, const uint64_t *blocks, int count, uint64_t room, int *places, uint64_t *bytes,
                 sdpy_failure *failure);
/* The least room for it, and the least for two places. */
void sdpy_least_rooms(uint64_t outside, const uint64_t *blocks, int count, uint64_t *least_room, uint64_t *ahead_room);
/* Goes through blocks of so many bytes, which lie in a file one after the other, through places in memory: `order` has the
 * blocks that each of the graphs reads, one graph after the other, and `ends` where each ends in it. `out` gets the bytes
 * that lie in a block's place when its turn comes; `came_ahead` is how many turns did not have to wait. A `patient` graph
 * goes on to its next turn only when nothing more can be read ahead. */
int sdpy_stream_blocks(const char *path, const uint64_t *blocks, const int *places, int count, const int *order,
                       const int *ends, int graphs, int threads, int patient, uint8_t *out, int *came_ahead,
                       sdpy_failure *failure);
/* Jobs of this process that do not hear that they are cancelled (SDPY_FAULT_DEAF) come to their end. */
void sdpy_end_deafness(void);
/* Every file of the process is read so from now on, and reads are counted anew. */
void sdpy_arrange_reading(const sdpy_reading_conditions *conditions);
/* How many reads there were since then. */
uint64_t sdpy_reads_made(void);
/* Of all nodes that engines of this process compute from now on, the one of this number, from 0, meets the fault
 * (sdpy_node_fault). */
void sdpy_arrange_node_fault(int fault, uint64_t at);
/* How many nodes were computed since then. */
uint64_t sdpy_nodes_computed(void);
/* Whether drivers refuse to import memory of this process from now on. */
void sdpy_refuse_imports(int refused);
/* What is kept of a job's events, until they are read: at most `capacity` are written, `kept` is how many there are. */
int sdpy_keep_events(const sdpy_event *events, int count, sdpy_event *out, int capacity, int *kept,
                     sdpy_failure *failure);
/* Submissions to a device of a new name whose true pace is `paces`, told `seeds` as in sdpy_open_request; each as large as
 * pacing has it, of work that can be divided anywhere: `shares` says how much of its planned time is of which kind, all
 * of a submission in turn. Each takes `start` seconds on top. Writes how long each of them took. */
int sdpy_play_submissions(const double *seeds, const double *paces, double start, const double *shares, int count,
                          double *seconds, sdpy_failure *failure);
/* Files, each on one device, of which the weight store knows something. */
int sdpy_shelf_count(void);
/* How many texts tokenizers of this process have turned into tokens, those of sdpy_tokenize not among them. */
int sdpy_texts_read(void);
/* What the engine takes files for ("Flux.2 klein", "SDXL"), by sdpy_file; "" where it knows no such model. */
int sdpy_detect(const char *const *files, char *name, int capacity, sdpy_failure *failure);
/* The tokens of a UTF-8 text in NFC as the models of a kind ("qwen", "clip") number them, without those that CLIP has
 * around a prompt; at most `capacity` of them, and `count` is how many there are. */
int sdpy_tokenize(const char *tokenizer, const char *text, int *tokens, int capacity, int *count,
                  sdpy_failure *failure);

/* cffi:end */

#ifdef __cplusplus
}
#endif

#endif
