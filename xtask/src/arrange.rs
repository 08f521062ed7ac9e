//! Merges the functions of a WebAssembly module that are the same, and reorders the others so that they compress
//! better.
//!
//! A generic function is compiled for each type, often to the same instructions. A function pointer is a place in
//! the module's table, which stays as it is, so merged functions still differ as pointers. Linkers keep functions
//! in the order of their crates, but a function compresses better next to similar ones, such as other instances of
//! the same generic function. docs/performance.md says what both save.

use std::collections::HashMap;
use std::convert::Infallible;

use anyhow::{Context, Result};
use wasm_encoder::reencode::{Error, Reencode, utils};
use wasm_encoder::{CodeSection, FunctionSection, Module};
use wasmparser::{CodeSectionReader, FunctionBody, FunctionSectionReader, Operator, Parser, Payload, TypeRef};

/// Returns the module with fewer functions in another order.
pub fn arranged(wasm: &[u8]) -> Result<Vec<u8>> {
    let mut order = Order::of(wasm).context("the module cannot be read")?;
    let mut module = Module::new();
    order.parse_core_module(&mut module, Parser::new(0), wasm).context("the module cannot be written again")?;
    Ok(module.finish())
}

/// A new order of the functions. Imported functions stay in front.
struct Order {
    imported: u32,
    /// The type of each function, in the former order.
    types: Vec<u32>,
    /// For each new position: the former position of its function.
    former: Vec<usize>,
    /// For each former position: the new position of its function, or of the one that it was merged with.
    places: Vec<u32>,
}

impl Order {
    fn of(wasm: &[u8]) -> wasmparser::Result<Self> {
        let (mut imported, mut types, mut bodies) = (0, Vec::new(), Vec::new());
        for payload in Parser::new(0).parse_all(wasm) {
            match payload? {
                Payload::ImportSection(section) => {
                    for import in section.into_imports() {
                        imported += u32::from(matches!(import?.ty, TypeRef::Func(_)));
                    }
                }
                Payload::FunctionSection(section) => types = section.into_iter().collect::<wasmparser::Result<_>>()?,
                Payload::CodeSectionEntry(body) => bodies.push(Body::of(&body)?),
                _ => {}
            }
        }
        let merged = merged(imported, &types, &bodies);
        // Similar functions stand together: same type, similar length, similar end. Ends are compared because
        // they differ less than beginnings.
        let backward = |bytes: &[u8]| bytes.iter().rev().copied().collect::<Vec<u8>>();
        let mut former: Vec<usize> = (0..bodies.len()).filter(|function| merged[*function] == *function).collect();
        former.sort_by_cached_key(|function| {
            let Body { skeleton, whole, .. } = &bodies[*function];
            (types[*function], skeleton.len().checked_ilog2(), backward(skeleton), backward(whole))
        });
        let mut kept = vec![0; bodies.len()];
        for (place, function) in former.iter().enumerate() {
            kept[*function] = place as u32;
        }
        let places = merged.iter().map(|function| kept[*function]).collect();
        Ok(Order { imported, types, former, places })
    }
}

/// The content of a function.
struct Body {
    whole: Vec<u8>,
    /// Everything but the callees, and these.
    instructions: Vec<u8>,
    callees: Vec<u32>,
    /// The instructions without what differs between copies of a generic function: callees and addresses.
    skeleton: Vec<u8>,
}

impl Body {
    fn of(body: &FunctionBody<'_>) -> wasmparser::Result<Self> {
        // An address has three bytes or more, other constants mostly less.
        const SHORT_CONSTANT: usize = 3;
        let (bytes, start) = (body.as_bytes(), body.range().start);
        let mut reader = body.get_operators_reader()?;
        let mut instructions = bytes[..reader.original_position() - start].to_vec();
        let (mut callees, mut skeleton) = (Vec::new(), Vec::new());
        while !reader.eof() {
            let from = reader.original_position() - start;
            let operator = reader.read()?;
            let whole = &bytes[from..reader.original_position() - start];
            let (instruction, bone) = match operator {
                Operator::Call { function_index } | Operator::RefFunc { function_index } => {
                    callees.push(function_index);
                    (&whole[..1], &whole[..1])
                }
                Operator::I32Const { .. } | Operator::I64Const { .. } if whole.len() > SHORT_CONSTANT => (whole, &whole[..1]),
                _ => (whole, whole),
            };
            instructions.extend_from_slice(instruction);
            skeleton.extend_from_slice(bone);
        }
        Ok(Body { whole: bytes.to_vec(), instructions, callees, skeleton })
    }
}

/// For each function: the first one with the same type and the same instructions.
///
/// Callers of merged functions can become the same, so this is repeated until nothing changes.
fn merged(imported: u32, types: &[u32], bodies: &[Body]) -> Vec<usize> {
    let mut merged: Vec<usize> = (0..bodies.len()).collect();
    loop {
        let mut first = HashMap::new();
        let next: Vec<usize> = bodies
            .iter()
            .enumerate()
            .map(|(function, body)| {
                let callee = |callee: &u32| match callee.checked_sub(imported) {
                    Some(own) => (false, merged[own as usize]),
                    None => (true, *callee as usize),
                };
                let callees: Vec<(bool, usize)> = body.callees.iter().map(callee).collect();
                *first.entry((types[function], &body.instructions, callees)).or_insert(function)
            })
            .collect();
        if next == merged {
            return merged;
        }
        merged = next;
    }
}

impl Reencode for Order {
    type Error = Infallible;

    fn function_index(&mut self, function: u32) -> Result<u32, Error<Infallible>> {
        let own = function.checked_sub(self.imported);
        Ok(own.map_or(function, |own| self.imported + self.places[own as usize]))
    }

    fn parse_function_section(&mut self, functions: &mut FunctionSection, _: FunctionSectionReader<'_>) -> Result<(), Error<Infallible>> {
        for function in &self.former {
            functions.function(self.types[*function]);
        }
        Ok(())
    }

    fn parse_code_section(&mut self, code: &mut CodeSection, section: CodeSectionReader<'_>) -> Result<(), Error<Infallible>> {
        let bodies = section.into_iter().collect::<wasmparser::Result<Vec<FunctionBody<'_>>>>()?;
        for function in self.former.clone() {
            utils::parse_function_body(self, code, bodies[function].clone())?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use wasm_encoder::{
        ConstExpr, ElementSection, Elements, EntityType, ExportKind, ExportSection, Function, ImportSection, RefType, TableSection,
        TableType, TypeSection, ValType,
    };

    /// Two imports; then `add`, `main`, which calls it, and `add_too`. `main` is exported, and all are in a
    /// table.
    fn module() -> Vec<u8> {
        let mut types = TypeSection::new();
        types.ty().function([], [ValType::I32]);
        types.ty().function([ValType::I32], [ValType::I32]);
        let mut imports = ImportSection::new();
        imports.import("env", "one", EntityType::Function(0)).import("env", "two", EntityType::Function(0));
        let mut functions = FunctionSection::new();
        functions.function(1).function(0).function(1);
        let mut tables = TableSection::new();
        tables.table(TableType { element_type: RefType::FUNCREF, minimum: 3, maximum: None, table64: false, shared: false });
        let mut exports = ExportSection::new();
        exports.export("main", ExportKind::Func, 3);
        let mut elements = ElementSection::new();
        elements.active(None, &ConstExpr::i32_const(0), Elements::Functions([2, 3, 4].as_slice().into()));
        let mut code = CodeSection::new();
        let adding = |number| {
            let mut function = Function::new([]);
            function.instructions().local_get(0).i32_const(number).i32_add().end();
            function
        };
        let mut main = Function::new([]);
        main.instructions().call(0).call(2).end();
        code.function(&adding(7)).function(&main).function(&adding(5));
        let mut module = Module::new();
        module.section(&types).section(&imports).section(&functions).section(&tables).section(&exports).section(&elements).section(&code);
        module.finish()
    }

    /// The functions that the export and the table refer to, described by their type and content.
    fn named(wasm: &[u8]) -> Vec<String> {
        let (mut types, mut bodies, mut named) = (Vec::new(), Vec::new(), Vec::new());
        for payload in Parser::new(0).parse_all(wasm) {
            match payload.unwrap() {
                Payload::FunctionSection(section) => types = section.into_iter().map(Result::unwrap).collect(),
                Payload::CodeSectionEntry(body) => bodies.push(body),
                Payload::ExportSection(section) => named.extend(section.into_iter().map(|export| export.unwrap().index)),
                Payload::ElementSection(section) => {
                    for element in section {
                        let wasmparser::ElementItems::Functions(functions) = element.unwrap().items else { panic!("it holds functions") };
                        named.extend(functions.into_iter().map(Result::unwrap));
                    }
                }
                _ => {}
            }
        }
        named.iter().map(|function| told(*function, &types, &bodies)).collect()
    }

    fn told(function: u32, types: &[u32], bodies: &[FunctionBody<'_>]) -> String {
        let Some(own) = function.checked_sub(2) else { return format!("import {function}") };
        let operators = bodies[own as usize].get_operators_reader().unwrap().into_iter().map(Result::unwrap);
        let steps = operators.filter_map(|operator| match operator {
            Operator::Call { function_index } => Some(format!("call ({})", told(function_index, types, bodies))),
            Operator::I32Const { value } => Some(format!("add {value}")),
            _ => None,
        });
        format!("type {}: {}", types[own as usize], steps.collect::<Vec<_>>().join(", "))
    }

    #[test]
    fn whatever_named_a_function_names_the_same_one_after() {
        let before = module();
        let after = arranged(&before).unwrap();
        let main = "type 0: call (import 0), call (type 1: add 7)";
        assert_eq!(named(&before), [main, "type 1: add 7", main, "type 1: add 5"]);
        assert_eq!(named(&after), named(&before));
        let place = |wasm: &[u8]| Order::of(wasm).unwrap().types;
        assert_eq!((place(&before), place(&after)), (vec![1, 0, 1], vec![0, 1, 1]), "like stands beside like");
    }

    #[test]
    fn functions_that_do_the_same_are_merged_with_their_callers() {
        let mut types = TypeSection::new();
        types.ty().function([ValType::I32], [ValType::I32]);
        let mut functions = FunctionSection::new();
        let mut code = CodeSection::new();
        let mut function = |content: &dyn Fn(&mut Function)| {
            let mut function = Function::new([]);
            content(&mut function);
            functions.function(0);
            code.function(&function);
        };
        for number in [7, 7, 5] {
            function(&|body| _ = body.instructions().local_get(0).i32_const(number).i32_add().end());
        }
        for callee in 0..3 {
            function(&|body| _ = body.instructions().local_get(0).call(callee).end());
        }
        let mut exports = ExportSection::new();
        for caller in 3..6 {
            exports.export(&format!("caller {caller}"), ExportKind::Func, caller);
        }
        let mut module = Module::new();
        module.section(&types).section(&functions).section(&exports).section(&code);
        let after = Order::of(&module.finish()).unwrap();
        assert_eq!(after.former.len(), 4, "two adders and a caller of each");
        assert!(after.places[0] == after.places[1] && after.places[1] != after.places[2]);
        assert!(after.places[3] == after.places[4] && after.places[4] != after.places[5]);
    }

    #[test]
    fn what_is_no_module_is_refused() {
        assert!(arranged(b"<!doctype html>").unwrap_err().to_string().contains("cannot be read"));
    }
}
