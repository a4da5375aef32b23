/* The C ABI between Python and the engine; base/sdpy_parts.h has what only tests call.
 *
 * The region between the two cffi marks is read by `abi/ffi_build.py` as declarations and by the compiler as a header, so
 * there is no second copy that could drift.
 *
 * How it works: an `sdpy_engine` owns one native thread. `sdpy_begin_*` copies its request, starts a job on that thread
 * and returns at once; `sdpy_wait` then hands over what the job reports, one event at a time, until SDPY_EVENT_DONE.
 * No Python code ever runs inside the engine, and no C call lasts longer than the caller's own timeout, which is what
 * lets Ctrl-C be noticed while a single matrix product takes seconds.
 *
 * Threads: the functions of one engine may be called from several threads, but one job runs at a time (SDPY_BUSY
 * otherwise); `sdpy_cancel` may be called at any time from anywhere. No function lets a C++ exception out.
 */
#ifndef SDPY_H
#define SDPY_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/* cffi:begin */

typedef enum {
    SDPY_OK,
    SDPY_CANCELLED,         /* sdpy_cancel was called */
    SDPY_BUSY,              /* the engine has a job already */
    SDPY_BAD_SETTINGS,      /* a value of the request is out of its domain */
    SDPY_LOAD_FAILED,       /* a file is not what the engine can load */
    SDPY_GENERATION_FAILED, /* the engine gave up in the middle of its work */
    SDPY_OUT_OF_MEMORY,     /* host or device memory ran out */
    SDPY_DEVICE_LOST,       /* the GPU driver reset the device */
    SDPY_BROKEN,      /* a check failed on a thread that cannot be unwound: this engine is dead, a new one works */
    SDPY_NO_BACKEND,  /* no CPU module, or no device of that name */
    SDPY_CLOSED,      /* the engine was freed, or the program is ending */
    SDPY_NOT_NUMBERS, /* a part gave values that are not numbers */
    SDPY_STATUS_COUNT
} sdpy_status;

typedef enum { SDPY_PHASE_LOAD, SDPY_PHASE_ENCODE, SDPY_PHASE_DENOISE, SDPY_PHASE_DECODE, SDPY_PHASE_COUNT } sdpy_phase;

typedef enum { SDPY_EVENT_NONE, SDPY_EVENT_PROGRESS, SDPY_EVENT_LOG, SDPY_EVENT_DONE } sdpy_event_kind;

typedef enum { SDPY_LOG_DEBUG, SDPY_LOG_INFO, SDPY_LOG_WARNING, SDPY_LOG_ERROR } sdpy_log_level;

typedef enum { SDPY_FLOAT32, SDPY_INT32, SDPY_UINT8 } sdpy_dtype;

/* What a call or a job failed with. `detail` holds the engine's own last log lines. */
typedef struct {
    int status; /* sdpy_status */
    char message[1024];
    char detail[8192];
} sdpy_failure;

typedef struct {
    int kind;             /* sdpy_event_kind */
    int phase;            /* PROGRESS: sdpy_phase */
    double fraction;      /* PROGRESS: of the phase, 0 to 1, never falling within one job */
    int step;             /* PROGRESS: sampling steps (denoise) or tiles (decode) completed */
    int steps;            /* PROGRESS: of how many; 0 where the phase has none */
    uint64_t bytes;       /* PROGRESS: weights read so far (load) */
    uint64_t total_bytes; /* PROGRESS: weights to read (load) */
    int level;            /* LOG: sdpy_log_level */
    char text[1024];      /* LOG: one line without its line break */
} sdpy_event;

typedef struct {
    char name[128];        /* "CPU", "Vulkan0" */
    char description[256]; /* the hardware's own name */
    int is_gpu;
    int is_integrated;  /* shares the host's memory */
    char features[256]; /* of a Vulkan device, as ggml lists them: "driver: ... | fp16: 1 | matrix cores: none" */
    uint64_t memory_free;
    uint64_t memory_total;
} sdpy_device;

/* A named array, C-contiguous, the last axis fastest. */
typedef struct {
    char name[32];
    int dtype; /* sdpy_dtype */
    int ndim;
    int64_t shape[5];
    const void *data;
} sdpy_array;

typedef enum { SDPY_TEXT_ENCODER, SDPY_DIFFUSION_MODEL, SDPY_VAE, SDPY_PART_COUNT } sdpy_part;

/* Kinds of operations, each of which a device computes at a pace of its own. Operations of the last kind are counted by what
 * they give: 64 for each number. */
typedef enum { SDPY_PRODUCTS, SDPY_CONVOLUTIONS, SDPY_OTHERS, SDPY_WORK_COUNT } sdpy_work;

/* What a file is to a model: a whole checkpoint, the denoiser, one of the text encoders, a VAE, or an autoencoder in
 * TAESD's format. */
typedef enum {
    SDPY_FILE_MODEL,
    SDPY_FILE_DIFFUSION_MODEL,
    SDPY_FILE_LLM,
    SDPY_FILE_CLIP_L,
    SDPY_FILE_CLIP_G,
    SDPY_FILE_T5XXL,
    SDPY_FILE_VAE,
    SDPY_FILE_TAE,
    SDPY_FILE_COUNT
} sdpy_file;

typedef struct {
    const char *files[SDPY_FILE_COUNT]; /* UTF-8 paths; null or "" where there is none */
    /* What lies where, of those that are not to be read as a plain file (weights/arranged_files.h); else null or "". */
    const char *arrangements[SDPY_FILE_COUNT];
    const char *devices[SDPY_PART_COUNT]; /* device names as sdpy_device_at gives them */
    int threads;                          /* CPU threads of this and all further jobs, 1 or more */
    /* Of parts on GPUs, otherwise than by the engine: */
    int direct_convolutions[SDPY_PART_COUNT]; /* in one pass, summed up in float32, and not by im2col */
    int float32_sums[SDPY_PART_COUNT];        /* of products, where the GPU would sum up in half precision */
    int imported_weights[SDPY_PART_COUNT]; /* in memory of this process that the GPU reads as its own, where its driver
                                               * lets it; on a CPU in such memory as well */
    /* Operations a second by sdpy_work, as they are paced: what was measured of the GPU, which submissions to it grow to at
     * once where they prove it. 0 where nothing was; what no device can be is not believed. */
    double paces[SDPY_PART_COUNT][SDPY_WORK_COUNT];
} sdpy_open_request;

/* What becomes of the weights of one part. */
typedef enum {
    SDPY_LEAVE, /* as they are */
    SDPY_EVICT, /* out of memory, unless another engine uses them */
    SDPY_BRING, /* into memory; at once where they are in memory already, for another engine */
    SDPY_STREAM /* into `room` bytes; what does not fit comes from the file again and again, block by block */
} sdpy_movement;

typedef struct {
    int movements[SDPY_PART_COUNT]; /* sdpy_movement; evictions come first */
    uint64_t rooms[SDPY_PART_COUNT];
} sdpy_move_request;

/* The options of a picture, handed through by value to whatever reads one: a new option is a line here. */
typedef struct {
    int width; /* pixels */
    int height;
    int steps;
    uint64_t seed;
    char sampler[32];
    char scheduler[32]; /* the engine's own schedule, used where a request has no sigmas */
    float strength; /* with an init image and without sigmas: how much of the engine's own schedule is run, 0 to 1 */
    float cfg_scale;
    float guidance;   /* distilled guidance, for denoisers that take it */
    float eta;        /* INFINITY: the sampler's own */
    float flow_shift; /* INFINITY: the model's own */
    int clip_skip;    /* layers of CLIP from its end; 0: the model's own */
} sdpy_settings;

typedef struct {
    const char *prompt;     /* UTF-8, in NFC: tokenizers were trained on it, and compose nothing */
    int max_tokens;         /* SDPY_BAD_SETTINGS above this many, template included; 0 for no bound */
    sdpy_settings settings; /* some families condition on the picture's size */
    int measure;            /* compute nothing: only find out what it would take (sdpy_measured) */
} sdpy_encode_request;

typedef struct {
    const sdpy_array *picture; /* uint8, (height, width, 3), a multiple of a latent cell on each edge */
    const sdpy_array *mask;    /* uint8, (height, width): grey where it is 128 or more; NULL: the picture as it is */
    int tile_size;             /* as in sdpy_decode_request */
    int measure;
} sdpy_encode_picture_request;

typedef struct {
    const sdpy_array *text; /* what encode gave for the prompt */
    int text_count;
    const sdpy_array *negative; /* for the negative prompt; none: no classifier-free guidance */
    int negative_count;
    const sdpy_array *noise; /* latent-shaped float32; NULL: drawn from the seed */
    /* What encode_picture gave. Called "latent", an array is taken for a latent that needs no more work. */
    const sdpy_array *start;      /* of the picture to begin from; NULL: from noise alone */
    const sdpy_array *around;     /* of the picture without what the mask covers, for denoisers that read it; or NULL */
    const sdpy_array *references; /* of the pictures to edit */
    int reference_count;
    const sdpy_array *mask; /* uint8, (height, width): generated anew where it is 128 or more; NULL: everywhere */
    sdpy_settings settings;
    const float *sigmas; /* steps + 1 values, falling, the last one 0 */
    int sigma_count;
    int keep_steps; /* go on from the steps in the file of sdpy_keep_steps_in, which are of this very picture, and add to them */
    int measure;
} sdpy_denoise_request;

/* What LoRAs add to a layer: float32 `up` (outputs, rank) times `down` (rank, inputs); for a convolution (outputs, rank, 1, 1)
 * and (rank, channels, height, width). */
typedef struct {
    const char *layer; /* as find_layers gives it */
    const sdpy_array *down;
    const sdpy_array *up;
} sdpy_lora_layer;

typedef struct {
    const sdpy_array *latent; /* what denoise gave */
    int tile_size;            /* latent cells per tile edge; 0: the picture in one piece */
    int measure;
} sdpy_decode_request;

/* What a phase would need, which computed nothing because its request said `measure`. */
typedef struct {
    uint64_t working_bytes; /* of the compute buffer */
    int tokens;             /* for encode: how many states the denoiser will read */
    char unsupported[256];  /* what the device cannot compute of it; "" where it can do all */
} sdpy_measurement;

/* Bytes of weights that a phase has been seen to use; all of the file's before anything was measured. */
typedef struct {
    uint64_t bytes;      /* in memory, whole */
    uint64_t least_room; /* the least room for SDPY_STREAM */
    uint64_t ahead_room; /* the least in which blocks are read ahead, while others are computed */
    uint64_t in_memory;  /* now; what is shared counts for each engine */
    double waited;       /* seconds that computing has waited for blocks, since the model was opened */
} sdpy_part_info;

/* What this library has allocated on a device: weights and compute buffers. */
typedef struct {
    uint64_t bytes;
    uint64_t most_bytes;
    double longest_submission_ms; /* of a GPU */
} sdpy_device_usage;

/* Ways to fail on purpose, so that the road from each kind of failure to Python is tested and not assumed. */
typedef enum {
    SDPY_FAULT_ASSERTION,        /* a failed check on the job's own thread */
    SDPY_FAULT_POOLED_ASSERTION, /* a failed check on another thread of a running graph */
    SDPY_FAULT_BAD_ALLOC,
    SDPY_FAULT_BAD_ALLOC_AMONG_THREADS, /* while threads are started, some of which run */
    SDPY_FAULT_DEVICE_LOST,
    SDPY_FAULT_DEVICE_MEMORY,
    SDPY_FAULT_EXCEPTION,
    SDPY_FAULT_NOT_AN_EXCEPTION,
    SDPY_FAULT_BUSY_LOOP, /* runs until cancelled */
    SDPY_FAULT_DEAF       /* runs on after that, until sdpy_end_deafness */
} sdpy_fault;

/* An operation as the engine's graphs have it; most are one of ggml's. */
typedef enum {
    SDPY_MULTIPLY, /* weights (inputs, outputs, ...) and input (inputs, tokens, ...): (outputs, tokens, ...) */
    SDPY_CONVOLVE, /* weights (edge, edge, channels, out channels), input (width, height, channels, 1); stride 1 */
    SDPY_NORM,     /* of the input's rows, as are the two that follow; without weights */
    SDPY_RMS_NORM,
    SDPY_SOFT_MAX,   /* where there are weights, they are a mask of float32 (columns, rows), which is added before */
    SDPY_GROUP_NORM, /* of (width, height, channels, 1), in 32 groups of channels */
    SDPY_SILU,
    SDPY_GELU,
    SDPY_UPSCALE, /* of (width, height, channels, 1), twice, each pixel repeated */
    SDPY_ROPE,    /* of (head size, heads, tokens, 1), as language models rotate: halves of a head, token after token */
    SDPY_ROTATE, /* likewise as denoisers do it: neighbours, by weights of float32 (2, 2, head size / 2, tokens), which are
                   * ((cos, -sin), (sin, cos)); gives (head size, tokens, heads) */
    SDPY_ATTENTION, /* of (head size, tokens, heads, 3), the queries, keys and values, with a mask as SOFT_MAX has it; gives
                     * (head size * heads, tokens) */
    SDPY_FLASH_ATTENTION, /* the same in one pass, without a mask, of a multiple of 256 tokens; no graph here has it */
    SDPY_OPERATION_COUNT
} sdpy_operation_kind;

typedef struct {
    int kind;                 /* sdpy_operation_kind */
    const char *device;       /* as sdpy_device_at names it */
    int type;                 /* of the weights: ggml's number */
    int64_t weights_shape[4]; /* the fastest axis first */
    int64_t input_shape[4];
    const void *weights; /* in rows of that type; NULL where there are none */
    const float *input;
    int float32_sums; /* of products in it: as in sdpy_open_request */
    int direct;       /* CONVOLVE: as direct_convolutions there */
    int kernels;      /* on a CPU, with our kernels where they fit, as the engine's graphs have it; 0: ggml's own */
    int pieces;       /* so many of a node's pieces at once, as where one takes too long; 0: whole nodes */
    int imported; /* its weights lie in memory of this process, as imported_weights there; SDPY_BAD_SETTINGS where the
                       * driver does not take that */
    int repeat;   /* how often it is computed, 1 or more */
    int threads;  /* of a CPU */
} sdpy_operation;

/* How an operation was computed; times are the shortest of all repetitions. */
typedef struct {
    double seconds;
    double upload_seconds; /* of its inputs, on their way to the device */
    uint64_t upload_bytes;
    double costs[SDPY_WORK_COUNT]; /* its operations by kind, as submissions are paced */
    int pieces;                    /* in how many the node of most pieces can be computed */
} sdpy_computed;

/* Engines and weights are named by numbers that look like pointers and are never given twice: any function may be called
 * with one that is freed, from any thread, and says SDPY_CLOSED. */
typedef struct sdpy_engine sdpy_engine;
/* Keeps the weights of a part in memory, for engines to come. */
typedef struct sdpy_weights sdpy_weights;

/* Loads the backend modules found in `module_dir` (the CPU module of that name, or with "" the one that suits this CPU;
 * Vulkan where it works). Once per process; later calls only report the first one's result. Nothing here reads the
 * environment, which another thread of Python may be writing to. */
int sdpy_start(const char *module_dir, const char *cpu_module, sdpy_failure *failure);
/* Which of our kernels graphs use from now on: avx2, avx_vnni, avx512 or avx512_vnni, "off" for the engine's own, or "" for
 * the fastest, which is also what they use before this is called. SDPY_NO_BACKEND for one that this CPU cannot run. */
int sdpy_choose_kernels(const char *name, sdpy_failure *failure);
/* What they use: one of these names; "" where this CPU runs none. */
const char *sdpy_kernels(void);

int sdpy_device_count(void);
int sdpy_device_at(int index, sdpy_device *device, sdpy_failure *failure);
/* "haswell", "zen4", "x64": which CPU module was chosen; "" before sdpy_start. */
const char *sdpy_cpu_module(void);
/* The features that the chosen CPU module says it uses, comma-separated ("AVX2,FMA"). */
const char *sdpy_cpu_features(void);
const char *sdpy_engine_commit(void);
const char *sdpy_ggml_version(void);

/* Its threads run on these CPUs, wherever the caller's thread may run; with no CPUs they run where that one may. */
sdpy_engine *sdpy_engine_new(const int *cpus, int cpu_count, sdpy_failure *failure);
/* Where finished steps are kept for requests that say so: a file that is open for reading and writing, empty before a picture
 * is begun. Its first 24 bytes are three int64: results of the denoiser in it, steps that are finished with them, and numbers
 * in each. The engine has a copy of the descriptor. While no job runs. */
int sdpy_keep_steps_in(sdpy_engine *engine, int file, sdpy_failure *failure);
/* Cancels and waits for a running job first. What sleeping threads or a lost device still hold is left to the operating
 * system. */
void sdpy_engine_free(sdpy_engine *engine);
/* Frees all engines and weights, and from then on there are no new ones: before what they stand on is destroyed. */
void sdpy_end(void);

/* Reads what the files say of their weights, and no weights. */
int sdpy_begin_open(sdpy_engine *engine, const sdpy_open_request *request, sdpy_failure *failure);
int sdpy_begin_move(sdpy_engine *engine, const sdpy_move_request *request, sdpy_failure *failure);
int sdpy_begin_encode(sdpy_engine *engine, const sdpy_encode_request *request, sdpy_failure *failure);
/* For the three arrays of pictures in sdpy_denoise_request: the VAE's raw output, of which each seed makes its own latent. */
int sdpy_begin_encode_picture(sdpy_engine *engine, const sdpy_encode_picture_request *request, sdpy_failure *failure);
int sdpy_begin_denoise(sdpy_engine *engine, const sdpy_denoise_request *request, sdpy_failure *failure);
int sdpy_begin_decode(sdpy_engine *engine, const sdpy_decode_request *request, sdpy_failure *failure);
/* Finds layers of the model by the names of a LoRA's file, which stand in lines. Gives "layers", text as uint8, a line for
 * each: the layer's name, which part of a weight is meant that the model has in one piece (0, or the number of the query's,
 * key's, value's rows and so on), the sdpy_part, and the weight's four extents, the fastest first; an empty line where there
 * is no such layer. */
int sdpy_begin_find_layers(sdpy_engine *engine, const char *names, sdpy_failure *failure);
/* From then on these are added to the layers, and no others. */
int sdpy_begin_adapt(sdpy_engine *engine, const sdpy_lora_layer *layers, int count, sdpy_failure *failure);
/* `after_steps`: 0: now; else in the next picture that is denoised, when so many of its steps are finished. */
int sdpy_begin_fault(sdpy_engine *engine, int fault, int after_steps, sdpy_failure *failure);

/* Waits for the next event, `timeout_ms` at most; SDPY_EVENT_NONE where none came. After DONE, `failure` tells how the
 * job ended. */
int sdpy_wait(sdpy_engine *engine, int timeout_ms, sdpy_event *event, sdpy_failure *failure);
void sdpy_cancel(sdpy_engine *engine);
/* Whether the last job left the engine unfit for another: a check failed on a pool thread, a backend was left in the
 * middle of a graph, or the device is lost. To be freed, and made anew. */
int sdpy_engine_spent(sdpy_engine *engine);

/* What the last job gave: how many arrays, each one's name, type and shape (`data` is null), and a copy of its bytes, of
 * which there must be exactly `size`. */
int sdpy_result_count(sdpy_engine *engine, int *count, sdpy_failure *failure);
int sdpy_result_at(sdpy_engine *engine, int index, sdpy_array *array, sdpy_failure *failure);
int sdpy_result_read(sdpy_engine *engine, int index, void *bytes, uint64_t size, sdpy_failure *failure);
/* Of the last phase that was measured. */
int sdpy_measured(sdpy_engine *engine, sdpy_measurement *measurement, sdpy_failure *failure);
int sdpy_part_info_get(sdpy_engine *engine, int part, sdpy_part_info *info, sdpy_failure *failure);

/* Nothing is kept yet, or null. */
sdpy_weights *sdpy_weights_new(sdpy_failure *failure);
/* Keeps what an engine has of a part too; nothing where it is not in memory as a whole. While no job runs. */
int sdpy_weights_keep(sdpy_weights *weights, sdpy_engine *engine, int part, sdpy_failure *failure);
void sdpy_weights_free(sdpy_weights *weights);

/* A file in memory, without a name, that engines in several processes have: weights on the CPU lie there once for all of them.
 * From now on for all engines of this process; nothing where the file is not such a one. */
int sdpy_use_common_memory(int file, sdpy_failure *failure);
/* Frees what processes that ended have left in it. */
int sdpy_free_abandoned_memory(int file, sdpy_failure *failure);

/* `reset` begins to count `most_bytes` and `longest_submission_ms` anew. */
int sdpy_device_usage_get(const char *device, int reset, sdpy_device_usage *usage, sdpy_failure *failure);
/* How long a GPU should be kept busy at once, at most; 250 before it is said. */
void sdpy_set_submission_target(int milliseconds);
/* How many bytes the weights of a denoiser's attention should take at once; 64 MiB before it is said. */
void sdpy_set_attention_room(uint64_t bytes);

/* Computes an operation on a device. `count` must be the number of the result's elements. SDPY_BAD_SETTINGS where shapes do
 * not fit each other, or the device has no such operation. Not while an engine computes on that device. */
int sdpy_compute(const sdpy_operation *operation, float *out, uint64_t count, sdpy_computed *computed,
                 sdpy_failure *failure);

/* cffi:end */

#ifdef __cplusplus
}
#endif

#endif
