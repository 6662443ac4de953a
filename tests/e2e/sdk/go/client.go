// Sends traces with the OpenTelemetry SDK for Go and keeps what went out.
//
//	client PROTOCOL ENDPOINT COMPRESSION CAPTURE_FILE      protocol: http or grpc; compression: none or gzip
//
// The exporter is the released one; only its client is wrapped: what it is given to upload is the request, whose
// bytes are appended to CAPTURE_FILE as [u32 big-endian length][ExportTraceServiceRequest]. Exit 0 when every
// export succeeded. With - for CAPTURE_FILE: one export without spans, nothing is kept.
package main

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"os"
	"strings"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/exporters/otlp/otlptrace"
	"go.opentelemetry.io/otel/exporters/otlp/otlptrace/otlptracegrpc"
	"go.opentelemetry.io/otel/exporters/otlp/otlptrace/otlptracehttp"
	"go.opentelemetry.io/otel/sdk/resource"
	sdk "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/trace"
	collector "go.opentelemetry.io/proto/otlp/collector/trace/v1"
	spans "go.opentelemetry.io/proto/otlp/trace/v1"
	"google.golang.org/protobuf/proto"
)

var failures []error

type keepingClient struct {
	otlptrace.Client
	file *os.File
}

func (client keepingClient) UploadTraces(ctx context.Context, list []*spans.ResourceSpans) error {
	bytes, err := proto.Marshal(&collector.ExportTraceServiceRequest{ResourceSpans: list})
	if err == nil {
		_, err = client.file.Write(append(binary.BigEndian.AppendUint32(nil, uint32(len(bytes))), bytes...))
	}
	if err == nil {
		err = client.Client.UploadTraces(ctx, list)
	}
	if err != nil {
		failures = append(failures, err)
	}
	return err
}

func newClient(protocol, endpoint, compression string) (otlptrace.Client, error) {
	switch protocol {
	case "http":
		packing := map[string]otlptracehttp.Compression{"none": otlptracehttp.NoCompression, "gzip": otlptracehttp.GzipCompression}[compression]
		return otlptracehttp.NewClient(otlptracehttp.WithEndpointURL(endpoint), otlptracehttp.WithCompression(packing)), nil
	case "grpc":
		options := []otlptracegrpc.Option{otlptracegrpc.WithEndpointURL(endpoint)} // https or not
		if compression != "none" {
			options = append(options, otlptracegrpc.WithCompressor(compression))
		}
		return otlptracegrpc.NewClient(options...), nil
	}
	return nil, fmt.Errorf("unknown protocol %q", protocol)
}

var attributes = []attribute.KeyValue{
	attribute.String("string", "value"), attribute.String("empty", ""), attribute.String("unicode", "Grüße, 世界 🌍 \u0000 \u200f"),
	attribute.String("long", strings.Repeat("x", 4000)), attribute.String("markup", "</script><b>&amp;\"'\\"),
	attribute.Bool("true", true), attribute.Bool("false", false), attribute.Int("zero", 0), attribute.Int("negative", -42),
	attribute.Int64("int64.max", math.MaxInt64), attribute.Int64("int64.min", math.MinInt64),
	attribute.Float64("double", 0.1), attribute.Float64("nan", math.NaN()), attribute.Float64("inf", math.Inf(1)), attribute.Float64("-inf", math.Inf(-1)),
	attribute.Float64("-0", math.Copysign(0, -1)), attribute.Float64("denormal", 5e-324), attribute.Float64("max", math.MaxFloat64),
	attribute.StringSlice("strings", []string{"a", "", "ü"}), attribute.Int64Slice("ints", []int64{1, -1, 1 << 62}),
	attribute.Float64Slice("doubles", []float64{1.5, math.Inf(1)}), attribute.BoolSlice("bools", []bool{true, false}), attribute.StringSlice("none", nil),
}

var kinds = []trace.SpanKind{trace.SpanKindClient, trace.SpanKindProducer, trace.SpanKindConsumer, trace.SpanKindInternal}

func remote(number byte) trace.SpanContext {
	state, _ := trace.ParseTraceState("vendor=a,other=x")
	now := uint64(time.Now().UnixNano())
	var id trace.TraceID
	var span trace.SpanID
	binary.BigEndian.PutUint64(id[:], now)
	id[15], span[7] = number+1, number+1
	return trace.NewSpanContext(trace.SpanContextConfig{TraceID: id, SpanID: span, TraceFlags: trace.FlagsSampled, TraceState: state, Remote: true})
}

func ordinaryTraces(ctx context.Context, provider *sdk.TracerProvider) {
	tracer := provider.Tracer("shop.checkout", trace.WithInstrumentationVersion("0.9"), trace.WithSchemaURL("https://opentelemetry.io/schemas/1.21.0"),
		trace.WithInstrumentationAttributes(attribute.String("scope.attr", "s"), attribute.Int("n", 1)))
	other := provider.Tracer("shop.db")
	for number := byte(0); number < 10; number++ {
		parent := ctx
		if number%3 == 0 {
			parent = trace.ContextWithRemoteSpanContext(ctx, remote(number))
		}
		links := []trace.Link{{SpanContext: remote(number + 100), Attributes: []attribute.KeyValue{attribute.Int("n", int(number))}}, {SpanContext: remote(number + 200)}}
		inside, root := tracer.Start(parent, fmt.Sprintf("POST /checkout/%d", number), trace.WithSpanKind(trace.SpanKindServer),
			trace.WithAttributes(attributes...), trace.WithLinks(links...))
		root.AddEvent("cart loaded", trace.WithAttributes(attribute.Int("items", int(number)), attribute.String("unicode", "☂")))
		root.AddEvent("at a given time", trace.WithTimestamp(time.Now().Add(-12345)))
		for _, kind := range kinds {
			_, child := other.Start(inside, "call "+kind.String(), trace.WithSpanKind(kind))
			child.SetAttributes(attribute.Int("depth", 2))
			child.End()
		}
		_, child := other.Start(inside, "SELECT 1", trace.WithSpanKind(trace.SpanKindClient))
		child.RecordError(errors.New("no such table: \"orders\"\nüber"), trace.WithStackTrace(true))
		child.SetStatus(codes.Error, "checkout failed ✗")
		child.End()
		root.SetStatus(codes.Ok, "")
		root.End()
	}
}

func tracesOverTheLimits(ctx context.Context, provider *sdk.TracerProvider) {
	links := []trace.Link{{SpanContext: remote(1)}, {SpanContext: remote(2)}, {SpanContext: remote(3)}}
	_, span := provider.Tracer("limits").Start(ctx, "drops", trace.WithLinks(links...))
	for number := 0; number < 20; number++ {
		span.SetAttributes(attribute.String(fmt.Sprintf("k%d", number), "a value cut by the SDK"))
		span.AddEvent(fmt.Sprintf("e%d", number), trace.WithAttributes(attribute.Int("a", 1), attribute.Int("b", 2)))
	}
	span.End()
}

func exportNothing(protocol, endpoint, compression string) error {
	ctx := context.Background()
	client, err := newClient(protocol, endpoint, compression)
	if err != nil {
		return err
	}
	return errors.Join(client.Start(ctx), client.UploadTraces(ctx, nil), client.Stop(ctx))
}

func run(protocol, endpoint, compression, capture string) error {
	if capture == "-" {
		return exportNothing(protocol, endpoint, compression)
	}
	ctx := context.Background()
	file, err := os.Create(capture)
	if err != nil {
		return err
	}
	client, err := newClient(protocol, endpoint, compression)
	if err != nil {
		return err
	}
	exporter, err := otlptrace.New(ctx, keepingClient{client, file})
	if err != nil {
		return err
	}
	about := resource.NewSchemaless(attribute.String("service.name", "go-shop"), attribute.String("service.version", "1.2.3"), attribute.Int("host.cpu", 8),
		attribute.Float64("ratio", 0.5), attribute.Bool("on", true), attribute.StringSlice("list", []string{"x", "y"}), attribute.String("unicode", "€"))
	few := sdk.NewSpanLimits()
	few.AttributeCountLimit, few.EventCountLimit, few.LinkCountLimit, few.AttributePerEventCountLimit, few.AttributeValueLengthLimit = 5, 3, 2, 1, 4

	batched := sdk.NewTracerProvider(sdk.WithResource(about), sdk.WithBatcher(exporter))
	ordinaryTraces(ctx, batched)
	if err := batched.ForceFlush(ctx); err != nil {
		return err
	}
	simple := sdk.NewTracerProvider(sdk.WithResource(about), sdk.WithSyncer(exporter)) // a request for each span
	ordinaryTraces(ctx, simple)
	limited := sdk.NewTracerProvider(sdk.WithResource(about), sdk.WithSyncer(exporter), sdk.WithRawSpanLimits(few))
	tracesOverTheLimits(ctx, limited)
	return errors.Join(append(failures, exporter.Shutdown(ctx), file.Close())...)
}

func main() {
	if len(os.Args) != 5 {
		fmt.Fprintln(os.Stderr, "client PROTOCOL ENDPOINT COMPRESSION CAPTURE_FILE")
		os.Exit(2)
	}
	if err := run(os.Args[1], os.Args[2], os.Args[3], os.Args[4]); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}
