// The target, block by block: PLANES planes of TEXELS numbers, each as deep as the maps are; and the texels' weights, 0 in the padding.
@group(1) @binding(4) var<storage, read> wanted: array<u32>;
@group(1) @binding(5) var<storage, read> weights: array<f32>;

// The target of a plane at a texel of a block; 0 for planes that only fill up a quad.
fn target_of(block: u32, plane: u32, texel: u32) -> f32 {
    if (plane >= PLANES) { return 0.0; }
    let at = (block * PLANES + plane) * TEXELS + texel;
    if (DEPTH == 8u) { return f32(wanted[at / 4u] >> (8u * (at % 4u)) & 0xffu) / 255.0; }
    if (DEPTH == 16u) { return f32(wanted[at / 2u] >> (16u * (at % 2u)) & 0xffffu) / 65535.0; }
    return bitcast<f32>(wanted[at]);
}

fn target_quad(block: u32, quad: u32, texel: u32) -> vec4f {
    let plane = 4u * quad;
    return vec4f(
        target_of(block, plane, texel), target_of(block, plane + 1u, texel),
        target_of(block, plane + 2u, texel), target_of(block, plane + 3u, texel),
    );
}
