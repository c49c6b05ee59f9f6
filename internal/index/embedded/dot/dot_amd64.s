#include "textflag.h"

// func avx2(query *int16, codes *int8, out *int32, length, rows int)
//
// A step takes 32 codes: they are widened to 16 bits, multiplied with the query, neighbours added to 32 bits.
TEXT ·avx2(SB), NOSPLIT, $0-40
	MOVQ query+0(FP), SI
	MOVQ codes+8(FP), DI
	MOVQ out+16(FP), DX
	MOVQ length+24(FP), R8
	MOVQ rows+32(FP), R9

row:
	VPXOR Y0, Y0, Y0
	VPXOR Y1, Y1, Y1
	MOVQ  SI, R10
	MOVQ  R8, R11

step:
	VPMOVSXBW (DI), Y2
	VPMOVSXBW 16(DI), Y3
	VPMADDWD  (R10), Y2, Y2
	VPMADDWD  32(R10), Y3, Y3
	VPADDD    Y2, Y0, Y0
	VPADDD    Y3, Y1, Y1
	ADDQ      $32, DI
	ADDQ      $64, R10
	SUBQ      $32, R11
	JNZ       step

	VPADDD       Y1, Y0, Y0
	VEXTRACTI128 $1, Y0, X1
	VPADDD       X1, X0, X0
	VPSHUFD      $0x4E, X0, X1
	VPADDD       X1, X0, X0
	VPSHUFD      $0xB1, X0, X1
	VPADDD       X1, X0, X0
	VMOVD        X0, (DX)
	ADDQ         $4, DX
	DECQ         R9
	JNZ          row

	VZEROUPPER
	RET
