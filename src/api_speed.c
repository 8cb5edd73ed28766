/* api_speed.c: lorac_measure_speed. */
#include "api.h"

#include "speed.h"

lorac_status lorac_measure_speed(int wanted, int64_t threads, lorac_speed *out)
{
    machine_speed speed = { 0 };
    dtype act;
    pool *team;

    *out = (lorac_speed){ 0 };
    TRY(compute_dtype(wanted, &act));
    TRY(pool_new(&team, (int)threads));
    int status = measure_speed(team, kernels_for(cpu_isa(), act), &speed);
    pool_free(team);
    *out = (lorac_speed){ speed.product_flops, speed.bandwidth };
    return status;
}
