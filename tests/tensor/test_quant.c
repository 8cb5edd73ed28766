/* Block formats against the gguf package's decoder, bit for bit (tools/make_quant_goldens.py); encoding; half
 * precision. */
#include "test.h"

#include "err.h"
#include "file.h"
#include "mem.h"
#include "quant.h"

#include <math.h>

static mapped golden(const char *name, const char *suffix)
{
    char path[256];
    mapped m;

    snprintf(path, sizeof path, SOURCE_DIR "/tests/golden/quant/%s%s", name, suffix);
    assert_ok(file_map(&m, path));
    return m;
}

static void every_format_decodes_exactly(void **state)
{
    (void)state;
    for (dtype t = DT_Q8_0; t < DT_COUNT; t++) {
        mapped blocks = golden(dtype_name(t), ".blocks"), expected = golden(dtype_name(t), ".f32");
        int64_t count = (int64_t)blocks.n / dtype_block_bytes(t) * dtype_block(t);
        float *out = mem_new((size_t)count, sizeof *out);
        assert_true(count > 0);
        assert_int_equal((size_t)count * sizeof *out, expected.n);
        quant_decode(out, blocks.p, t, count);
        assert_memory_equal(out, expected.p, expected.n);
        mem_free(out);
        file_unmap(&blocks);
        file_unmap(&expected);
    }
}

/* File data need not be aligned. */
static void blocks_may_stand_anywhere(void **state)
{
    mapped blocks = golden("Q6_K", ".blocks");
    uint8_t moved[211];
    float here[256], there[256];

    (void)state;
    memcpy(moved + 1, blocks.p, 210);
    quant_decode(here, blocks.p, DT_Q6_K, 256);
    quant_decode(there, moved + 1, DT_Q6_K, 256);
    assert_memory_equal(here, there, sizeof here);
    file_unmap(&blocks);
}

static void q8_0_encodes_exactly(void **state)
{
    mapped input = golden("Q8_0", ".input"), expected = golden("Q8_0", ".encoded");
    uint8_t blocks[6 * 34];

    (void)state;
    assert_int_equal(input.n, 6 * 32 * sizeof(float));
    assert_int_equal(expected.n, sizeof blocks);
    quant_encode_q8_0(blocks, (const float *)(const void *)input.p, 6 * 32);
    assert_memory_equal(blocks, expected.p, sizeof blocks);
    file_unmap(&input);
    file_unmap(&expected);
}

static void what_has_no_code_becomes_zero(void **state)
{
    float x[32] = { 1, NAN, -1 }, out[32];
    uint8_t block[34];

    (void)state;
    quant_encode_q8_0(block, x, 32);
    quant_decode(out, block, DT_Q8_0, 32);
    assert_true(fabsf(out[0] - 1) < 1e-3 && out[1] == 0 && fabsf(out[2] + 1) < 1e-3);
    x[0] = INFINITY;
    quant_encode_q8_0(block, x, 32);
    assert_int_equal(block[2], 0);
    x[0] = 1e-39f; /* so small that 1 / d overflows */
    x[1] = x[2] = 0;
    quant_encode_q8_0(block, x, 32);
    quant_decode(out, block, DT_Q8_0, 32);
    assert_true(out[0] == 0);
}

static void halves_are_rounded_as_numpy_does(void **state)
{
    mapped input = golden("half", ".input");
    size_t count = input.n / sizeof(float);

    (void)state;
    for (int i = 0; i < 2; i++) {
        mapped expected = golden("half", i ? ".bf16" : ".f16");
        assert_int_equal(expected.n, 2 * count);
        for (size_t j = 0; j < count; j++) {
            float x = ((const float *)(const void *)input.p)[j];
            assert_int_equal(i ? f32_to_bf16(x) : f32_to_f16(x), ((const uint16_t *)(const void *)expected.p)[j]);
        }
        file_unmap(&expected);
    }
    file_unmap(&input);
}

static void every_half_survives_a_round_trip(void **state)
{
    (void)state;
    for (uint32_t h = 0; h <= 0xFFFF; h++) {
        float f = f16_to_f32((uint16_t)h), b = bf16_to_f32((uint16_t)h);
        if ((h & 0x7FFF) > 0x7C00)
            assert_true(isnan(f) && isnan(f16_to_f32(f32_to_f16(f))));
        else
            assert_int_equal(f32_to_f16(f), h);
        if ((h & 0x7FFF) > 0x7F80)
            assert_true(isnan(b) && isnan(bf16_to_f32(f32_to_bf16(b))));
        else
            assert_int_equal(f32_to_bf16(b), h);
    }
    assert_true(f16_to_f32(0x3C00) == 1 && f16_to_f32(0xC000) == -2 && f16_to_f32(0x0001) == 0x1p-24f);
    assert_true(isinf(f16_to_f32(0x7C00)) && signbit(f16_to_f32(0x8000)));
}

/* Every quant and what lies halfway between two: away from zero, as roundf does it. */
static void quants_are_rounded_away_from_zero(void **state)
{
    (void)state;
    for (float step = -127; step <= 127; step += 0.25f) {
        float x[32] = { 127, step, nextafterf(step, 0), nextafterf(step, 200) };
        uint8_t block[34];
        quant_encode_q8_0(block, x, 32); /* d is 1 */
        for (int i = 1; i < 4; i++)
            assert_int_equal((int8_t)block[2 + i], (int)roundf(x[i]));
    }
}

static void plain_types_are_read(void **state)
{
    static const float f32[2] = { 1.5f, -2 };
    static const double f64[2] = { 1.5, -2 };
    static const uint16_t f16[2] = { 0x3E00, 0xC000 }, bf16[2] = { 0x3FC0, 0xC000 };
    static const struct {
        dtype type;
        const void *p;
    } rows[] = { { DT_F32, f32 }, { DT_F64, f64 }, { DT_F16, f16 }, { DT_BF16, bf16 } };

    (void)state;
    for (int i = 0; i < 4; i++) {
        float out[2];
        quant_decode(out, rows[i].p, rows[i].type, 2);
        assert_memory_equal(out, f32, sizeof f32);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_format_decodes_exactly),
        cmocka_unit_test(blocks_may_stand_anywhere),
        cmocka_unit_test(q8_0_encodes_exactly),
        cmocka_unit_test(what_has_no_code_becomes_zero),
        cmocka_unit_test(halves_are_rounded_as_numpy_does),
        cmocka_unit_test(every_half_survives_a_round_trip),
        cmocka_unit_test(quants_are_rounded_away_from_zero),
        cmocka_unit_test(plain_types_are_read),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
