//! The data of events, as a sink has it (SINK-8).

use std::collections::BTreeMap;

use allod_blocks::Cid;
use allod_events::{CloudEvent, Renderer};
use allod_feed::{Cursor, Event, Spaces};
use allod_payloads::{Format, Framing, Schema};

use crate::register::Register;
use crate::target::Fault;

/// Who numbers schemas.
pub trait Numbers: Send {
    /// The number of a schema, which is made known if it was not.
    fn number(&mut self, schema: &Schema) -> Result<u32, Fault>;
}

/// What makes events with the data that a sink wants.
pub(crate) struct Payloads<'a> {
    register: &'a Register,
    renderer: &'a Renderer,
    format: Option<(Format, Framing)>,
    registry: Option<Box<dyn Numbers>>,
    /// The schemas that are kept, with what stands before their data.
    known: BTreeMap<Cid, Framing>,
}

impl<'a> Payloads<'a> {
    pub(crate) const fn new(
        (register, renderer): (&'a Register, &'a Renderer),
        format: Option<(Format, Framing)>,
        registry: Option<Box<dyn Numbers>>,
    ) -> Self {
        Self {
            register,
            renderer,
            format,
            registry,
            known: BTreeMap::new(),
        }
    }

    /// An event with its cursor; `None` of a space that went away since.
    pub(crate) fn render(
        &mut self,
        spaces: &dyn Spaces,
        event: &Event,
        cursor: &Cursor,
    ) -> Result<Option<CloudEvent>, Fault> {
        let Some((format, framing)) = self.format else {
            let rendered = self.renderer.render_at(spaces, event, cursor);
            return rendered.map_err(Fault::away);
        };
        let rendered = self
            .renderer
            .render_record_at(spaces, (event, cursor), format);
        let Some((mut cloud, schema)) = rendered.map_err(Fault::away)? else {
            return Ok(None);
        };
        let framing = match self.known.get(schema.cid()) {
            Some(known) => *known,
            None => self.make_known(&schema, framing)?,
        };
        cloud.frame(&schema, framing);
        Ok(Some(cloud))
    }

    fn make_known(&mut self, schema: &Schema, framing: Framing) -> Result<Framing, Fault> {
        self.register.keep_schema(schema).map_err(Fault::away)?;
        let framing = match &mut self.registry {
            None => framing,
            Some(registry) => Framing::Registered(registry.number(schema)?),
        };
        self.known.insert(*schema.cid(), framing);
        Ok(framing)
    }
}
