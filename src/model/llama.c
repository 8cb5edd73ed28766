/* llama.c: the Llama family: pre-norm, rotary positions, grouped-query attention, SwiGLU. */
#include "arch.h"

typedef struct block {
    nn_module input_norm, post_norm;
    linear q, k, v, o, gate, up, down;
} block;

static bool attention_bias(const model_config *g)
{
    return g->attention_bias;
}

static bool mlp_bias(const model_config *g)
{
    return g->mlp_bias;
}

#define FIELD(field) offsetof(model_config, field)

static const config_key keys[] = {
    /*             config.json                llama.cpp */
    { KEY_SIZE, FIELD(layers), "num_hidden_layers", "block_count", NEEDED, LAYERS_MOST },
    { KEY_SIZE, FIELD(hidden), "hidden_size", "embedding_length", NEEDED, SIZE_MOST },
    { KEY_SIZE, FIELD(heads), "num_attention_heads", "attention.head_count", NEEDED, HEADS_MOST },
    { KEY_SIZE, FIELD(intermediate), "intermediate_size", "feed_forward_length", NEEDED, SIZE_MOST },
    { KEY_SIZE, FIELD(vocabulary), "vocab_size", "vocab_size", NEEDED, VOCABULARY_MOST },
    { KEY_SIZE, FIELD(kv_heads), "num_key_value_heads", "attention.head_count_kv", 0, HEADS_MOST },
    { KEY_SIZE, FIELD(head_size), NULL, "attention.value_length", 0, SIZE_MOST },
    { KEY_SIZE, FIELD(head_size), "head_dim", "attention.key_length", 0, SIZE_MOST },
    { KEY_SIZE, FIELD(context), "max_position_embeddings", "context_length", 2048, CONTEXT_MOST },
    { KEY_REAL, FIELD(norm_epsilon), "rms_norm_eps", "attention.layer_norm_rms_epsilon", 1e-6, 0 },
    { KEY_ACTIVATION, FIELD(activation), "hidden_act", NULL, GLU_SILU, 0 },
    { KEY_FLAG, FIELD(attention_bias), "attention_bias", "blk.0.attn_q.bias", 0, 0 },
    { KEY_FLAG, FIELD(mlp_bias), "mlp_bias", "blk.0.ffn_up.bias", 0, 0 },
    { KEY_FLAG, FIELD(tied_head), "tie_word_embeddings", "!output.weight", 0, 0 },
    { .name = NULL },
};

#define NORM(field) PARAM_NORM, offsetof(block, field)
#define LINEAR(field) PARAM_LINEAR, offsetof(block, field)

static const param layer[] = {
    /*        Hugging Face               llama.cpp      [out, in] */
    { NORM(input_norm), "input_layernorm", "attn_norm", SIZE_HIDDEN, SIZE_NONE, NULL, LAYOUT_PLAIN },
    { LINEAR(q), "self_attn.q_proj", "attn_q", SIZE_Q, SIZE_HIDDEN, attention_bias, LAYOUT_PAIRED },
    { LINEAR(k), "self_attn.k_proj", "attn_k", SIZE_KV, SIZE_HIDDEN, attention_bias, LAYOUT_PAIRED },
    { LINEAR(v), "self_attn.v_proj", "attn_v", SIZE_KV, SIZE_HIDDEN, attention_bias, LAYOUT_PLAIN },
    { LINEAR(o), "self_attn.o_proj", "attn_output", SIZE_HIDDEN, SIZE_Q, attention_bias, LAYOUT_PLAIN },
    { NORM(post_norm), "post_attention_layernorm", "ffn_norm", SIZE_HIDDEN, SIZE_NONE, NULL, LAYOUT_PLAIN },
    { LINEAR(gate), "mlp.gate_proj", "ffn_gate", SIZE_INTERMEDIATE, SIZE_HIDDEN, mlp_bias, LAYOUT_PLAIN },
    { LINEAR(up), "mlp.up_proj", "ffn_up", SIZE_INTERMEDIATE, SIZE_HIDDEN, mlp_bias, LAYOUT_PLAIN },
    { LINEAR(down), "mlp.down_proj", "ffn_down", SIZE_HIDDEN, SIZE_INTERMEDIATE, mlp_bias, LAYOUT_PLAIN },
    { .name = NULL },
};

static var *llama_block(void *env, const void *self, var *x)
{
    pass *p = env;
    context *c = p->c;
    const block *b = self;
    const model_config *g = &p->m->config;

    var *h = norm_fwd(c, &b->input_norm, x, (real)g->norm_epsilon);
    var *q = linear_fwd(c, &b->q, h, NULL);
    var *k = linear_fwd(c, &b->k, h, NULL);
    var *v = linear_fwd(c, &b->v, h, NULL);
    q = op_rope(c, q, &p->rope, g->heads);
    k = op_rope(c, k, &p->rope, g->kv_heads);
    h = attend(p, b, q, k, v);
    x = linear_fwd(c, &b->o, h, x);

    h = norm_fwd(c, &b->post_norm, x, (real)g->norm_epsilon);
    var *gate = linear_fwd(c, &b->gate, h, NULL);
    var *up = linear_fwd(c, &b->up, h, NULL);
    h = op_glu(c, gate, up, g->activation);
    return linear_fwd(c, &b->down, h, x);
}

const architecture architecture_llama = {
    .name = "llama",
    .class_name = "LlamaForCausalLM",
    .classifier_name = "LlamaForSequenceClassification",
    .keys = keys,
    .prefix = "model.",
    .layers = "model.layers",
    .embedding = "model.embed_tokens",
    .final_norm = "model.norm",
    .layer = layer,
    .block_size = sizeof(block),
    .block = llama_block,
    .rotary = true,
    .pads = true,
};
