// The even bits of a texel's place on the curve are its column.
fn along_curve(texel: u32) -> u32 {
    var place = 0u;
    for (var k = 0u; k < 4u; k++) {
        place |= (column_of(texel) >> k & 1u) << (2u * k) | (row_of(texel) >> k & 1u) << (2u * k + 1u);
    }
    return place;
}
