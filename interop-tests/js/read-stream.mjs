// Prints what a stream of JetStream has, as the client of NATS and the SDK of CloudEvents for JavaScript read it.
//
//   node read-stream.mjs URL STREAM
//
// One line of JSON for each message, in the order of the stream.

import { jetstream, jetstreamManager } from '@nats-io/jetstream';
import { connect } from '@nats-io/transport-node';
import { HTTP } from 'cloudevents';

const [servers, stream] = process.argv.slice(2);
const client = await connect({ servers });
const { state } = await (await jetstreamManager(client)).streams.info(stream);
const consumer = await jetstream(client).consumers.get(stream);
let left = state.messages;
if (left > 0) {
  for await (const message of await consumer.consume()) {
    // Attributes are ASCII: what is not is percent-encoded, as the HTTP binding says.
    const headers = {};
    for (const name of message.headers?.keys() ?? []) {
      const value = message.headers.get(name);
      headers[name.toLowerCase()] = name.startsWith('ce-') ? decodeURIComponent(value) : value;
    }
    const event = HTTP.toEvent({ headers, body: message.string() });
    console.log(JSON.stringify({ at: message.seq, event: event.toJSON() }));
    message.ack();
    left -= 1;
    if (left === 0) break;
  }
}
await client.close();
