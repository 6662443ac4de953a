// Sends traces with the OpenTelemetry SDK for JavaScript and keeps what went out.
//
//   node client.js PROTOCOL ENDPOINT COMPRESSION CAPTURE_FILE      protocol: http, json or grpc; compression: none or gzip
//
// The exporter is the released one; only its serializer is wrapped, to append the exact bytes to CAPTURE_FILE as
// [u32 big-endian length][ExportTraceServiceRequest], in JSON when the protocol is json. Node sends chunked bodies. Exit 0 when every export succeeded.
// With - for CAPTURE_FILE: one export without spans, nothing is kept.
import { appendFileSync, writeFileSync } from 'node:fs';
import { ROOT_CONTEXT, SpanKind, SpanStatusCode, trace, createTraceState } from '@opentelemetry/api';
import { OTLPTraceExporter as GrpcExporter } from '@opentelemetry/exporter-trace-otlp-grpc';
import { OTLPTraceExporter as JsonExporter } from '@opentelemetry/exporter-trace-otlp-http';
import { OTLPTraceExporter as HttpExporter } from '@opentelemetry/exporter-trace-otlp-proto';
import { JsonTraceSerializer, ProtobufTraceSerializer } from '@opentelemetry/otlp-transformer';
import { resourceFromAttributes } from '@opentelemetry/resources';
import { BasicTracerProvider, BatchSpanProcessor, RandomIdGenerator, SimpleSpanProcessor } from '@opentelemetry/sdk-trace-base';

const [protocol, endpoint, compression, captureFile] = process.argv.slice(2);
const failures = [];
const ids = new RandomIdGenerator();
if (captureFile !== '-') writeFileSync(captureFile, '');

const serializer = protocol === 'json' ? JsonTraceSerializer : ProtobufTraceSerializer;
const serialize = serializer.serializeRequest;
serializer.serializeRequest = (spans) => {
  const bytes = serialize(spans);
  const length = Buffer.alloc(4);
  length.writeUInt32BE(bytes.length);
  if (captureFile !== '-') appendFileSync(captureFile, Buffer.concat([length, bytes]));
  return bytes;
};

function makeExporter() {
  const Exporter = { grpc: GrpcExporter, http: HttpExporter, json: JsonExporter }[protocol];
  const exporter = new Exporter({ url: endpoint, compression, concurrencyLimit: 200 });
  const send = exporter.export.bind(exporter);
  exporter.export = (spans, done) =>
    send(spans, (result) => {
      if (result.code !== 0) failures.push(String(result.error ?? 'failed'));
      done(result);
    });
  return exporter;
}

const attributes = {
  string: 'value', empty: '', unicode: 'Grüße, 世界 🌍 \u0000', markup: '</script><b>&amp;"\'\\', long: 'x'.repeat(4000),
  true: true, false: false, zero: 0, negative: -42, 'safe max': Number.MAX_SAFE_INTEGER, 'safe min': Number.MIN_SAFE_INTEGER,
  double: 0.1, nan: NaN, inf: Infinity, '-inf': -Infinity, '-0': -0, tiny: 5e-324, max: Number.MAX_VALUE, large: 1e21, '2^53': 2 ** 53,
  strings: ['a', '', 'ü'], numbers: [1, -1, 2.5], bools: [true, false], holes: ['a', null, undefined, 'b'], none: [],
};

async function sendTraces(makeProcessor, limits) {
  const provider = new BasicTracerProvider({
    resource: resourceFromAttributes({ 'service.name': 'js-shop', 'service.version': '1.2.3', 'host.cpu': 8, ratio: 0.5, on: true, list: ['x', 'y'], unicode: '€' }),
    spanLimits: limits,
    spanProcessors: [makeProcessor(makeExporter())],
  });
  const tracer = provider.getTracer('shop.checkout', '0.9', { schemaUrl: 'https://opentelemetry.io/schemas/1.21.0' });
  const other = provider.getTracer('shop.db');
  for (let number = 0; number < 10; number++) {
    const remote = { traceId: ids.generateTraceId(), spanId: ids.generateSpanId(), traceFlags: 1, isRemote: true, traceState: createTraceState('vendor=a,other=x') };
    const parent = number % 3 === 0 ? trace.setSpanContext(ROOT_CONTEXT, remote) : ROOT_CONTEXT;
    const root = tracer.startSpan(`POST /checkout/${number}`, {
      kind: SpanKind.SERVER, attributes,
      links: [{ context: remote, attributes: { why: 'batch', n: number, list: [1, 2] }, droppedAttributesCount: 2 }, { context: { traceId: ids.generateTraceId(), spanId: ids.generateSpanId(), traceFlags: 0 } }],
    }, parent);
    const inside = trace.setSpan(ROOT_CONTEXT, root);
    root.addEvent('cart loaded', { items: number, unicode: '☂', bools: [true] });
    root.addEvent('at a given time', { a: 1 }, [1700000000, 123456789]);
    for (const kind of [SpanKind.CLIENT, SpanKind.PRODUCER, SpanKind.CONSUMER, SpanKind.INTERNAL]) {
      other.startSpan(`call ${SpanKind[kind]}`, { kind, startTime: [1700000000, number] }, inside).end([1700000000, 999999999]);
    }
    const failing = other.startSpan('SELECT 1', { kind: SpanKind.CLIENT }, inside);
    failing.recordException(new TypeError('no such table: "orders"\nüber'));
    failing.setStatus({ code: SpanStatusCode.ERROR, message: 'query failed ✗' });
    failing.end();
    root.setStatus({ code: number % 2 ? SpanStatusCode.OK : SpanStatusCode.ERROR });
    root.end();
  }
  await provider.forceFlush();
  await provider.shutdown();
}

if (captureFile === '-') {
  await new Promise((done) => makeExporter().export([], done));
} else {
  await sendTraces((exporter) => new BatchSpanProcessor(exporter));
  await sendTraces((exporter) => new SimpleSpanProcessor(exporter)); // one request per span: traces arrive in pieces
  await sendTraces((exporter) => new BatchSpanProcessor(exporter), { attributeCountLimit: 3, eventCountLimit: 1, linkCountLimit: 1, attributeValueLengthLimit: 4 });
}
if (failures.length > 0) {
  console.error(`js client: ${failures.length} failures, first: ${failures[0]}`);
  process.exit(1);
}
