// How much the weighted squared error would grow in the block without each entry's splat, to the first number of its row. A normalized
// blend is then out + t (out - f), t = w / (1 - w) with w its share; a plain sum is out - w f. Who would take its place is not considered.
// slope holds the picture here, and `pull` of entries.wgsl the texels' weights.
@compute @workgroup_size(THREADS)
fn removal(@builtin(workgroup_id) group: vec3u, @builtin(local_invocation_index) thread: u32) {
    let block = block_of(group);
    let x = f32(block.x + column_of(thread)) + 0.5;
    let y = f32(block.y + row_of(thread)) + 0.5;
    let nearest = select_nearest(block, x, y, thread);
    let blended = blend(block, nearest, x, y, thread);
    let weight = weights[block.number * TEXELS + thread];
    leave(thread, select(-FAR, limit_of(nearest), weight > 0.0), blended.scale, weight);
    hit_nearest(block, nearest, weight > 0.0, thread);
    for (var slice = 0u; slice < SLICES; slice++) {
        workgroupBarrier();
        each(p, QUADS): if ({p}u / SLICE == slice) { slope[{p}u % SLICE * TEXELS + thread] = blended.value{p}; }
        workgroupBarrier();
        entry_growth(block, slice, thread);
    }
}

fn entry_growth(block: Block, slice: u32, thread: u32) {
    for (var chunk = 0u; chunk < block.count; chunk += CHUNK) {
        if (block.count > CHUNK || TOPK == 0u) { find_hits(block, chunk, thread); }
        for (var base = chunk; base < min(block.count, chunk + CHUNK); base += THREADS / PARTS) {
            let at = base + thread / PARTS;
            let is_one = at < min(block.count, chunk + CHUNK);
            let entry = entries[block.first + min(at, block.count - 1u)];
            let s = near(entry);
            var sum = 0.0;
            var texels = 0u;
            if (is_one) { texels = atomicLoad(&hits[(at - chunk) * PARTS + thread % PARTS]); }
            while (texels != 0u) {
                let k = firstTrailingBit(texels) * PARTS + thread % PARTS;
                texels &= texels - 1u;
                let w = exp(-log_weight(s, f32(block.x + column_of(k)) + 0.5, f32(block.y + row_of(k)) + 0.5));
                let share = min(w * left[TEXELS + k], MOST_SHARE);
                let step = select(w, share / (1.0 - share), TOPK > 0u);
                var grown = 0.0;
                for (var p = 0u; p < SLICE; p++) {
                    let quad = slice * SLICE + p;
                    let out = slope[p * TEXELS + k];
                    let moved = step * (select(vec4f(0.0), out, TOPK > 0u) - splats[s.index * ROW + 2u + quad]);
                    grown += dot(moved, moved + 2.0 * (out - target_quad(block.number, quad, k)));
                }
                sum = fma(grown, left[2u * TEXELS + k], sum);
            }
            let total = over_parts(thread, vec4f(sum, 0.0, 0.0, 0.0));
            if (is_one && thread % PARTS == 0u) {
                gradient[entry.y * ROW] = total + select(vec4f(0.0), gradient[entry.y * ROW], slice > 0u);
            }
        }
    }
}
