// Stream width converter: vectors of elements, N_IN lanes a beat in, N_OUT lanes a beat out.
// max(beats in, beats out) cycles a vector; a vector's last beat is filled up with zeros.
// Plane-major, element 0 of a beat in the low bits; lanes beyond a vector's end are ignored.
`default_nettype none
module bnn_gearbox #(
    parameter ELEM_W = 1,  // bits of an element in one plane
    parameter PLANES = 1,  // planes
    parameter N_IN = 2,  // lanes of an input beat
    parameter N_OUT = 3,  // lanes of an output beat
    parameter N_BEATS = 2,  // input beats of a vector
    parameter N_TAIL = 2,  // elements in a vector's last input beat, 1 .. N_IN
    parameter GRAIN = 1,  // greatest common divisor of N_IN and N_OUT
    parameter BEAT_W = 1,  // bits of an index of input beats
    parameter FILL_W = 3  // bits of a count up to (N_IN + 2 * N_OUT) / GRAIN
) (
    input wire clk,
    input wire rst,
    input wire [PLANES*N_IN*ELEM_W-1:0] s_data,
    input wire s_valid,
    output wire s_ready,
    output wire [PLANES*N_OUT*ELEM_W-1:0] m_data,
    output wire m_valid,
    input wire m_ready
);
  localparam integer GRAINS_IN = N_IN / GRAIN;
  localparam integer GRAINS_OUT = N_OUT / GRAIN;
  localparam integer GRAINS_TAIL = (N_TAIL + GRAIN - 1) / GRAIN;
  localparam integer GRAINS = GRAINS_IN + GRAINS_OUT;  // held at most; a beat still fits on top of one output beat
  // Zeros that fill up a vector's last output beat: what came before is a multiple of an output beat.
  localparam integer SHORT = ((N_BEATS - 1) * GRAINS_IN + GRAINS_TAIL) % GRAINS_OUT;
  localparam integer GRAINS_LAST = SHORT == 0 ? GRAINS_TAIL : GRAINS_TAIL + GRAINS_OUT - SHORT;
  localparam STEP_W = GRAIN * ELEM_W;
  localparam PLANE_W = GRAINS * STEP_W;
  localparam IN_W = N_IN * ELEM_W;
  localparam OUT_W = N_OUT * ELEM_W;
  localparam TAIL_W = N_TAIL * ELEM_W;
  localparam [FILL_W-1:0] FILL_IN = GRAINS_IN[FILL_W-1:0];
  localparam [FILL_W-1:0] FILL_OUT = GRAINS_OUT[FILL_W-1:0];
  localparam [FILL_W-1:0] FILL_LAST = GRAINS_LAST[FILL_W-1:0];
  localparam [BEAT_W-1:0] LAST = N_BEATS[BEAT_W-1:0] - 1'b1;

  reg [FILL_W-1:0] fill_q;  // grains held, zeros behind a vector's end included
  reg [BEAT_W-1:0] beat_q;
  wire last = beat_q == LAST;
  wire pop = m_valid && m_ready;
  wire [FILL_W-1:0] kept = pop ? fill_q - FILL_OUT : fill_q;
  wire push = s_valid && s_ready;
  assign m_valid = fill_q >= FILL_OUT;
  assign s_ready = kept <= FILL_OUT;

  always @(posedge clk) begin
    fill_q <= !push ? kept : kept + (last ? FILL_LAST : FILL_IN);
    if (push) beat_q <= last ? {BEAT_W{1'b0}} : beat_q + 1'b1;
    if (rst) begin
      fill_q <= 0;
      beat_q <= 0;
    end
  end

  // Where a beat of one side is a multiple of the other's, every place has its own enable, or shifts by one grain.
  genvar p, g;
  generate
    for (p = 0; p < PLANES; p = p + 1) begin : g_plane
      wire [IN_W-1:0] whole = s_data[p*IN_W+:IN_W];
      wire [IN_W-1:0] beat;  // with zeros where a tail is short
      assign beat[TAIL_W-1:0] = whole[TAIL_W-1:0];
      if (TAIL_W < IN_W) begin : g_tail
        assign beat[IN_W-1:TAIL_W] = last ? {IN_W - TAIL_W{1'b0}} : whole[IN_W-1:TAIL_W];
      end
      if (GRAINS_IN == 1) begin : g_up
        reg [OUT_W-1:0] held_q;
        reg [STEP_W-1:0] next_q;  // what came on top of a whole output beat
        wire more = fill_q > FILL_OUT;
        always @(posedge clk) begin
          if (push && kept == FILL_OUT) next_q <= beat;
          if ((pop && more) || (push && kept == 0)) held_q[STEP_W-1:0] <= more ? next_q : beat;
        end
        for (g = 1; g < GRAINS_OUT; g = g + 1) begin : g_grain
          wire put = push && {{32 - FILL_W{1'b0}}, kept} == g;
          always @(posedge clk) begin
            if (SHORT > 0 && g >= SHORT && (rst || (pop && !put))) held_q[g*STEP_W+:STEP_W] <= 0;
            else if (put) held_q[g*STEP_W+:STEP_W] <= beat;
          end
        end
        assign m_data[p*OUT_W+:OUT_W] = held_q;
      end else if (GRAINS_OUT == 1) begin : g_down
        reg [IN_W-1:0] held_q;
        reg [STEP_W-1:0] last_q;  // a beat's last grain, while the next beat is there
        reg apart_q;  // it is there
        always @(posedge clk) begin
          if (push) begin
            held_q <= beat;
            last_q <= pop && !apart_q ? held_q[STEP_W+:STEP_W] : held_q[STEP_W-1:0];
            apart_q <= kept == FILL_OUT;
          end else if (pop) begin
            if (!apart_q) held_q <= held_q >> STEP_W;
            apart_q <= 1'b0;
          end
          if (rst) apart_q <= 1'b0;
        end
        assign m_data[p*OUT_W+:OUT_W] = apart_q ? last_q : held_q[STEP_W-1:0];
      end else begin : g_any
        reg [PLANE_W-1:0] held_q;
        wire [PLANE_W-1:0] left = pop ? held_q >> OUT_W : held_q;
        for (g = 0; g < GRAINS; g = g + 1) begin : g_grain
          localparam integer FIRST = g > GRAINS_OUT ? g - GRAINS_OUT : 0;  // grains of a beat that can land here
          localparam integer END = g < GRAINS_IN ? g + 1 : GRAINS_IN;
          reg [STEP_W-1:0] landing;
          integer b;
          always @* begin
            landing = left[g*STEP_W+:STEP_W];
            for (b = FIRST; b < END; b = b + 1) begin
              if (push && {{32 - FILL_W{1'b0}}, kept} == g - b) landing = beat[b*STEP_W+:STEP_W];
            end
          end
          always @(posedge clk) held_q[g*STEP_W+:STEP_W] <= rst ? {STEP_W{1'b0}} : landing;
        end
        assign m_data[p*OUT_W+:OUT_W] = held_q[OUT_W-1:0];
      end
    end
  endgenerate
endmodule
`default_nettype wire
