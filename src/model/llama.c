/* llama.c: the Llama family: pre-norm, rotary positions, grouped-query attention, SwiGLU. */
#include "arch.h"

typedef struct block {
    var input_norm, post_norm;
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

#define NORM(field) PARAM_NORM, offsetof(block, field)
#define LINEAR(field) PARAM_LINEAR, offsetof(block, field)

static const param layer[] = { /*        Hugging Face               llama.cpp      [out, in] */
    { NORM(input_norm), "input_layernorm", "attn_norm", SIZE_HIDDEN, SIZE_NONE, NULL, ROWS_AS_FILED },
    { LINEAR(q), "self_attn.q_proj", "attn_q", SIZE_Q, SIZE_HIDDEN, attention_bias, ROWS_Q_ROPE },
    { LINEAR(k), "self_attn.k_proj", "attn_k", SIZE_KV, SIZE_HIDDEN, attention_bias, ROWS_K_ROPE },
    { LINEAR(v), "self_attn.v_proj", "attn_v", SIZE_KV, SIZE_HIDDEN, attention_bias, ROWS_AS_FILED },
    { LINEAR(o), "self_attn.o_proj", "attn_output", SIZE_HIDDEN, SIZE_Q, attention_bias, ROWS_AS_FILED },
    { NORM(post_norm), "post_attention_layernorm", "ffn_norm", SIZE_HIDDEN, SIZE_NONE, NULL, ROWS_AS_FILED },
    { LINEAR(gate), "mlp.gate_proj", "ffn_gate", SIZE_INTERMEDIATE, SIZE_HIDDEN, mlp_bias, ROWS_AS_FILED },
    { LINEAR(up), "mlp.up_proj", "ffn_up", SIZE_INTERMEDIATE, SIZE_HIDDEN, mlp_bias, ROWS_AS_FILED },
    { LINEAR(down), "mlp.down_proj", "ffn_down", SIZE_HIDDEN, SIZE_INTERMEDIATE, mlp_bias, ROWS_AS_FILED },
    { .name = NULL },
};

static var *llama_block(void *env, const void *self, var *x)
{
    pass *p = env;
    context *c = p->c;
    const block *b = self;
    const model_config *g = &p->m->config;

    var *h = op_rmsnorm(c, x, &b->input_norm, (real)g->norm_epsilon);
    var *q = linear_fwd(c, &b->q, h, NULL);
    var *k = linear_fwd(c, &b->k, h, NULL);
    var *v = linear_fwd(c, &b->v, h, NULL);
    q = op_rope(c, q, &p->rope, g->heads);
    k = op_rope(c, k, &p->rope, g->kv_heads);
    h = attend(p, b, q, k, v);
    x = linear_fwd(c, &b->o, h, x);

    h = op_rmsnorm(c, x, &b->post_norm, (real)g->norm_epsilon);
    var *gate = linear_fwd(c, &b->gate, h, NULL);
    var *up = linear_fwd(c, &b->up, h, NULL);
    h = op_glu(c, gate, up, g->activation);
    return linear_fwd(c, &b->down, h, x);
}

const architecture architecture_llama = {
    .name = "llama",
    .class_name = "LlamaForCausalLM",
    .layer = layer,
    .block_size = sizeof(block),
    .block = llama_block,
};
