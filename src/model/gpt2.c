/* gpt2.c: the GPT-2 family: learned positions, pre-norm with layer normalisation, q, k and v of one product, a plain
 * MLP, biases everywhere. Its linears are Conv1D modules, whose weights Hugging Face files as [in, out]. */
#include "arch.h"

typedef struct block {
    nn_module attention_norm, mlp_norm;
    linear qkv, o, up, down;
} block;

#define FIELD(field) offsetof(model_config, field)

static const config_key keys[] = {
    /*             config.json                llama.cpp */
    { KEY_SIZE, FIELD(layers), "n_layer", "block_count", NEEDED, LAYERS_MOST },
    { KEY_SIZE, FIELD(hidden), "n_embd", "embedding_length", NEEDED, SIZE_MOST },
    { KEY_SIZE, FIELD(heads), "n_head", "attention.head_count", NEEDED, HEADS_MOST },
    { KEY_SIZE, FIELD(intermediate), "n_inner", "feed_forward_length", 0, SIZE_MOST },
    { KEY_SIZE, FIELD(vocabulary), "vocab_size", "vocab_size", NEEDED, VOCABULARY_MOST },
    { KEY_SIZE, FIELD(context), "n_ctx", NULL, 0, CONTEXT_MOST }, /* before transformers 4 */
    { KEY_SIZE, FIELD(context), "n_positions", "context_length", NEEDED, CONTEXT_MOST },
    { KEY_REAL, FIELD(norm_epsilon), "layer_norm_epsilon", "attention.layer_norm_epsilon", 1e-5, 0 },
    { KEY_ACTIVATION, FIELD(activation), "activation_function", NULL, GLU_GELU_TANH, 0 },
    { KEY_FLAG, FIELD(attention_scaled), "scale_attn_weights", NULL, 1, 0 },
    { KEY_FLAG, FIELD(attention_by_layer), "scale_attn_by_inverse_layer_idx", NULL, 0, 0 },
    { KEY_FLAG, FIELD(tied_head), "tie_word_embeddings", "!output.weight", 1, 0 },
    { .name = NULL },
};

static bool always(const model_config *g)
{
    (void)g;
    return true;
}

#define NORM(field) PARAM_NORM, offsetof(block, field)
#define LINEAR(field) PARAM_LINEAR, offsetof(block, field)

static const param layer[] = {
    /*    Hugging Face   llama.cpp      [out, in] */
    { NORM(attention_norm), "ln_1", "attn_norm", SIZE_HIDDEN, SIZE_NONE, always, LAYOUT_PLAIN },
    { LINEAR(qkv), "attn.c_attn", "attn_qkv", SIZE_QKV, SIZE_HIDDEN, always, LAYOUT_CONV1D },
    { LINEAR(o), "attn.c_proj", "attn_output", SIZE_HIDDEN, SIZE_Q, always, LAYOUT_CONV1D },
    { NORM(mlp_norm), "ln_2", "ffn_norm", SIZE_HIDDEN, SIZE_NONE, always, LAYOUT_PLAIN },
    { LINEAR(up), "mlp.c_fc", "ffn_up", SIZE_INTERMEDIATE, SIZE_HIDDEN, always, LAYOUT_CONV1D },
    { LINEAR(down), "mlp.c_proj", "ffn_down", SIZE_HIDDEN, SIZE_INTERMEDIATE, always, LAYOUT_CONV1D },
    { .name = NULL },
};

static var *gpt2_block(void *env, const void *self, var *x)
{
    pass *p = env;
    context *c = p->c;
    const block *b = self;
    const model_config *g = &p->m->config;

    var *h = norm_fwd(c, &b->attention_norm, x, (real)g->norm_epsilon);
    var *qkv = linear_fwd(c, &b->qkv, h, NULL);
    var *q = op_part(c, qkv, 0, 3);
    var *k = op_part(c, qkv, 1, 3);
    var *v = op_part(c, qkv, 2, 3);
    h = attend(p, b, q, k, v);
    x = linear_fwd(c, &b->o, h, x);

    h = norm_fwd(c, &b->mlp_norm, x, (real)g->norm_epsilon);
    h = linear_fwd(c, &b->up, h, NULL);
    h = op_activation(c, h, g->activation);
    return linear_fwd(c, &b->down, h, x);
}

const architecture architecture_gpt2 = {
    .name = "gpt2",
    .class_name = "GPT2LMHeadModel",
    .classifier_name = "GPT2ForSequenceClassification",
    .keys = keys,
    .prefix = "transformer.",
    .layers = "transformer.h",
    .embedding = "transformer.wte",
    .positions = "transformer.wpe",
    .final_norm = "transformer.ln_f",
    .layer = layer,
    .block_size = sizeof(block),
    .block = gpt2_block,
    .centred_norms = true,
};
