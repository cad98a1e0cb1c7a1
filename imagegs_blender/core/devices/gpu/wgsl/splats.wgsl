// From the free numbers of optimizer.py to splats.
//
// The free numbers are rows of quads: (mean x, mean y, scale, scale), (rotation, bias, 0, 0), features. Means are texels, scales log
// scales or 1 / scale.
@group(1) @binding(0) var<storage, read> value: array<vec4f>;
@group(1) @binding(1) var<storage, read_write> splats: array<vec4f>;

// a, b and c are conic() of gaussians.py.
@compute @workgroup_size(ROW_THREADS)
fn project(@builtin(workgroup_id) group: vec3u, @builtin(local_invocation_index) thread: u32) {
    let i = group_number(group) * ROW_THREADS + thread;
    if (i >= frame.splats) { return; }
    let at = i * ROW;
    let place = value[at];
    let shape = value[at + 1u];
    let u = steepness(place.z);
    let v = steepness(place.w);
    let cosine = cos(shape.x);
    let sine = sin(shape.x);
    let a = u * cosine * cosine + v * sine * sine;
    let b = 2.0 * (u - v) * cosine * sine;
    let c = u * sine * sine + v * cosine * cosine;
    splats[at] = vec4f(place.x, place.y, a, b);
    splats[at + 1u] = vec4f(c, shape.y, bitcast<f32>(i), 0.0);
    for (var k = 2u; k < ROW; k++) { splats[at + k] = value[at + k]; }
}
