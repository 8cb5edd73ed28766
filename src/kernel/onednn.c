/* onednn.c: see onednn.h. The C API changed between 2.x (Debian 12) and 3.x: descriptors by value became handles,
 * operation descriptors went away. The first part hides the difference. */
#include "onednn.h"

#if defined(KERNELS_ONEDNN)

#include "mem.h"

#include <dlfcn.h>
#include <dnnl.h>
#include <math.h>
#include <pthread.h>
#include <string.h>

enum { MOST_KEPT = 64 };

typedef dnnl_memory_desc_t layout;

#if DNNL_VERSION_MAJOR >= 3

static bool plain_layout(layout *out, int64_t rows, int64_t cols, int64_t row_stride, int64_t col_stride,
                         dnnl_data_type_t type)
{
    const dnnl_dims_t dims = { rows, cols }, strides = { row_stride, col_stride };
    return dnnl_memory_desc_create_with_strides(out, 2, dims, type, strides) == dnnl_success;
}

static void layout_drop(layout *l)
{
    if (*l)
        dnnl_memory_desc_destroy(*l);
}

static bool describe_product(dnnl_primitive_desc_t *out, dnnl_engine_t engine, const layout *a, const layout *b,
                             const layout *c)
{
    return dnnl_matmul_primitive_desc_create(out, engine, *a, *b, NULL, *c, NULL) == dnnl_success;
}

#define HANDLE(l) (*(l))

#else

static bool plain_layout(layout *out, int64_t rows, int64_t cols, int64_t row_stride, int64_t col_stride,
                         dnnl_data_type_t type)
{
    const dnnl_dims_t dims = { rows, cols }, strides = { row_stride, col_stride };
    return dnnl_memory_desc_init_by_strides(out, 2, dims, type, strides) == dnnl_success;
}

static void layout_drop(layout *l)
{
    (void)l;
}

static bool describe_product(dnnl_primitive_desc_t *out, dnnl_engine_t engine, const layout *a, const layout *b,
                             const layout *c)
{
    dnnl_matmul_desc_t product;
    return dnnl_matmul_desc_init(&product, a, b, NULL, c) == dnnl_success &&
           dnnl_primitive_desc_create(out, &product, NULL, engine, NULL) == dnnl_success;
}

#define HANDLE(l) (l)

#endif

/* What one shape needs; the memory objects get their addresses at each call. */
typedef struct kept {
    onednn_shape shape;
    uint64_t used; /* when it was last */
    dnnl_primitive_t product;
    dnnl_memory_t a, b, c;
} kept;

typedef struct library {
    dnnl_engine_t engine;
    dnnl_stream_t stream;
    void (*set_threads)(int); /* OpenMP's, NULL when oneDNN was built without it */
    int (*threads)(void);
    uint64_t clock;
    int count;
    kept entries[MOST_KEPT];
} library;

static pthread_key_t key;
static pthread_once_t once = PTHREAD_ONCE_INIT;
static bool key_made;

static void drop(kept *e)
{
    dnnl_memory_t memories[] = { e->a, e->b, e->c };
    for (int i = 0; i < 3; i++)
        if (memories[i])
            dnnl_memory_destroy(memories[i]);
    if (e->product)
        dnnl_primitive_destroy(e->product);
    memset(e, 0, sizeof *e);
}

static void library_free(void *p)
{
    library *l = p;
    for (int i = 0; i < l->count; i++)
        drop(&l->entries[i]);
    if (l->stream)
        dnnl_stream_destroy(l->stream);
    if (l->engine)
        dnnl_engine_destroy(l->engine);
    mem_free(l);
}

static void make_key(void)
{
    key_made = pthread_key_create(&key, library_free) == 0;
}

/* This thread's; NULL when it cannot be had. */
static library *library_here(void)
{
    pthread_once(&once, make_key);
    if (!key_made)
        return NULL;
    library *l = pthread_getspecific(key);
    if (l)
        return l;
    l = mem_new(1, sizeof *l);
    if (!l)
        return NULL;
    l->set_threads = (void (*)(int))dlsym(RTLD_DEFAULT, "omp_set_num_threads");
    l->threads = (int (*)(void))dlsym(RTLD_DEFAULT, "omp_get_max_threads");
    if (dnnl_engine_create(&l->engine, dnnl_cpu, 0) == dnnl_success &&
        dnnl_stream_create(&l->stream, l->engine, dnnl_stream_default_flags) == dnnl_success &&
        pthread_setspecific(key, l) == 0)
        return l;
    library_free(l);
    return NULL;
}

static bool make(kept *e, dnnl_engine_t engine, onednn_shape s)
{
    layout a = { 0 }, b = { 0 }, c = { 0 };
    dnnl_primitive_desc_t pd = NULL;
    e->shape = s;
    const bool made = plain_layout(&a, s.rows, s.k, s.a_stride, 1, dnnl_bf16) &&
                      plain_layout(&b, s.k, s.n, s.b_turned ? 1 : s.b_stride, s.b_turned ? s.b_stride : 1, dnnl_bf16) &&
                      plain_layout(&c, s.rows, s.n, s.n, 1, dnnl_f32) && describe_product(&pd, engine, &a, &b, &c) &&
                      dnnl_primitive_create(&e->product, pd) == dnnl_success &&
                      dnnl_memory_create(&e->a, HANDLE(&a), engine, DNNL_MEMORY_NONE) == dnnl_success &&
                      dnnl_memory_create(&e->b, HANDLE(&b), engine, DNNL_MEMORY_NONE) == dnnl_success &&
                      dnnl_memory_create(&e->c, HANDLE(&c), engine, DNNL_MEMORY_NONE) == dnnl_success;
    if (pd)
        dnnl_primitive_desc_destroy(pd);
    layout_drop(&a);
    layout_drop(&b);
    layout_drop(&c);
    if (!made)
        drop(e);
    return made;
}

static bool same(const onednn_shape *x, const onednn_shape *y)
{
    return memcmp(x, y, sizeof *x) == 0;
}

/* The entry of a shape, made if need be in the place of the one used longest ago. */
static kept *find(library *l, onednn_shape shape)
{
    kept *oldest = &l->entries[0];
    for (int i = 0; i < l->count; i++) {
        kept *e = &l->entries[i];
        if (e->product && same(&e->shape, &shape)) {
            e->used = ++l->clock;
            return e;
        }
        oldest = e->used < oldest->used ? e : oldest;
    }
    kept *e = l->count < MOST_KEPT ? &l->entries[l->count++] : oldest;
    drop(e);
    if (!make(e, l->engine, shape))
        return NULL;
    e->used = ++l->clock;
    return e;
}

/* oneDNN would start a team of OpenMP threads for each of ours. The setting is one of the calling thread, which may be
 * the program's own, so it is put back. OpenMP is looked up because it is oneDNN's, not ours, and may be absent. */
static bool multiply(const library *l, const kept *e)
{
    const dnnl_exec_arg_t arguments[] = { { DNNL_ARG_SRC, e->a }, { DNNL_ARG_WEIGHTS, e->b }, { DNNL_ARG_DST, e->c } };
    const int before = l->set_threads && l->threads ? l->threads() : 0;
    if (before > 1)
        l->set_threads(1);
    const bool done = dnnl_primitive_execute(e->product, l->stream, 3, arguments) == dnnl_success &&
                      dnnl_stream_wait(l->stream) == dnnl_success;
    if (before > 1)
        l->set_threads(before);
    return done;
}

bool onednn_takes(onednn_shape shape)
{
    library *l = library_here();
    return l && find(l, shape);
}

void onednn_multiply(float *c, const uint16_t *a, const uint16_t *b, onednn_shape shape)
{
    library *l = library_here();
    kept *e = l ? find(l, shape) : NULL;
    if (e) {
        dnnl_memory_set_data_handle(e->a, (void *)(uintptr_t)a);
        dnnl_memory_set_data_handle(e->b, (void *)(uintptr_t)b);
        dnnl_memory_set_data_handle(e->c, c);
        if (multiply(l, e))
            return;
    }
    for (int64_t i = 0; i < shape.rows * shape.n; i++)
        c[i] = NAN;
}

#define TEXT_(x) #x
#define TEXT(x) TEXT_(x)

const char *onednn_name(void)
{
    return "oneDNN " TEXT(DNNL_VERSION_MAJOR) "." TEXT(DNNL_VERSION_MINOR) "." TEXT(DNNL_VERSION_PATCH);
}

#endif
