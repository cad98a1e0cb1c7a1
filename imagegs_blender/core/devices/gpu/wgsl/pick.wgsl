// Texels drawn from a density: for each draw its block and how much of the block's sum is passed, to the texel where it is.
@group(1) @binding(0) var<storage, read> density: array<f32>;
@group(1) @binding(1) var<storage, read> draws: array<vec2u>;
@group(1) @binding(2) var<storage, read_write> texels: array<u32>;

@compute @workgroup_size(ROW_THREADS)
fn pick(@builtin(workgroup_id) group: vec3u, @builtin(local_invocation_index) thread: u32) {
    let i = group_number(group) * ROW_THREADS + thread;
    if (i >= frame.items) { return; }
    let first = draws[i].x * TEXELS;
    let wanted = bitcast<f32>(draws[i].y);
    var passed = 0.0;
    var chosen = 0u;
    for (var k = 0u; k < TEXELS; k++) {
        let here = density[first + k];
        if (here > 0.0 && passed <= wanted) { chosen = k; }
        passed += here;
    }
    texels[i] = chosen;
}
