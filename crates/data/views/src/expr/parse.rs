//! Reading an expression, with the precedence of SQLite (VIEW-10, VIEW-18).

use super::cast::Type;
use super::error::{BadExpr, ExprFault};
use super::functions::Function;
use super::node::{FieldPath, Level, Node, Operator, RESERVED};
use super::token::{Lexer, Token};
use super::{EXPR_BYTES_MAX, EXPR_DEPTH_MAX, EXPR_NODES_MAX};
use crate::timestamp;
use crate::value::Value;

type Result<T, E = BadExpr> = std::result::Result<T, E>;

/// Reads an expression; its one spelling may still be too long.
pub(super) fn parse(text: &str) -> Result<Node> {
    if text.len() > EXPR_BYTES_MAX {
        return Err(BadExpr::new(text, 0, ExprFault::TooLong));
    }
    let mut lexer = Lexer::new(text);
    let (at, token) = lexer.next()?;
    let mut parser = Parser {
        lexer,
        at,
        token,
        nodes: 0,
        open: 0,
        above: 0,
    };
    let node = parser.expression(Level::Or)?;
    if parser.token != Token::End {
        return Err(parser.expected("an operator, or the end"));
    }
    // There are not many nodes, so this goes not too deep.
    if node.depth() > EXPR_DEPTH_MAX {
        return Err(BadExpr::new(text, 0, ExprFault::TooDeep));
    }
    Ok(node)
}

struct Parser<'a> {
    lexer: Lexer<'a>,
    /// The next word, and where it begins.
    token: Token<'a>,
    at: usize,
    /// How many nodes there are.
    nodes: usize,
    /// How many brackets are open.
    open: usize,
    /// How many operators wait for what is read now, each of which is a level above it. The parser calls itself for
    /// these and for brackets, and for nothing else.
    above: usize,
}

/// What can stand behind a value.
enum Infix {
    And,
    Or,
    Binary(Operator),
    /// BETWEEN, IN or LIKE, with or without NOT.
    Test,
}

impl Infix {
    const fn level(&self) -> Level {
        match self {
            Self::Or => Level::Or,
            Self::And => Level::And,
            Self::Binary(operator) => operator.level(),
            Self::Test => Level::Equality,
        }
    }
}

impl Parser<'_> {
    /// An expression of operators that bind at least so tightly.
    fn expression(&mut self, least: Level) -> Result<Node> {
        // What is joined already is no operand of what binds tighter: `a IN (1) || b` has no meaning.
        let mut most = if self.is_word("NOT") {
            Level::Not
        } else {
            Level::Single
        };
        let mut left = self.prefixed(least)?;
        while let Some(infix) = self.infix()
            && (least..=most).contains(&infix.level())
        {
            most = infix.level();
            left = match infix {
                Infix::And => {
                    let parts = self.chain(left, "AND", Level::And)?;
                    self.node(Node::And(parts))?
                }
                Infix::Or => {
                    let parts = self.chain(left, "OR", Level::Or)?;
                    self.node(Node::Or(parts))?
                }
                Infix::Binary(operator) => self.binary(left, operator)?,
                Infix::Test => self.test(left)?,
            };
        }
        Ok(left)
    }

    /// What stands behind an operator.
    fn operand(&mut self, least: Level) -> Result<Node> {
        self.above += 1;
        if self.above >= EXPR_DEPTH_MAX {
            return Err(self.lexer.fault(self.at, ExprFault::TooDeep));
        }
        let node = self.expression(least)?;
        self.above -= 1;
        Ok(node)
    }

    /// What a chain of the same word has.
    fn chain(&mut self, first: Node, word: &str, level: Level) -> Result<Vec<Node>> {
        let mut parts = vec![first];
        while self.takes_word(word)? {
            parts.push(self.operand(level.tighter())?);
        }
        Ok(parts)
    }

    /// A value and what binds tighter than an operator behind it.
    fn prefixed(&mut self, least: Level) -> Result<Node> {
        let mut nots = 0;
        // Not by recursion, as each is a level, of which there can be too many.
        while least <= Level::Not && self.takes_word("NOT")? {
            nots += 1;
        }
        let mut node = match nots {
            0 => self.signed()?,
            _ => self.operand(Level::Equality)?,
        };
        for _not in 0..nots {
            node = self.node(Node::Not(Box::new(node)))?;
        }
        Ok(node)
    }

    fn signed(&mut self) -> Result<Node> {
        let mut signs = 0;
        while self.takes("-")? {
            signs += 1;
        }
        let mut node = self.single()?;
        for _sign in 0..signs {
            node = match node {
                Node::Literal(Value::Number(number)) => Node::Literal(Value::Number(-number)),
                node => self.node(Node::Minus(Box::new(node)))?,
            };
        }
        Ok(node)
    }

    /// The operator that comes next.
    fn infix(&self) -> Option<Infix> {
        Some(match &self.token {
            Token::Symbol(symbol) => Infix::Binary(match *symbol {
                "=" | "==" => Operator::Equal,
                "<>" | "!=" => Operator::Unequal,
                "<" => Operator::Less,
                "<=" => Operator::AtMost,
                ">" => Operator::More,
                ">=" => Operator::AtLeast,
                "+" => Operator::Plus,
                "-" => Operator::Minus,
                "*" => Operator::Times,
                "/" => Operator::Over,
                "%" => Operator::Modulo,
                "||" => Operator::Concat,
                _ => return None,
            }),
            Token::Word(word) => match word.to_ascii_uppercase().as_str() {
                "AND" => Infix::And,
                "OR" => Infix::Or,
                "IS" => Infix::Binary(Operator::Is),
                "BETWEEN" | "IN" | "LIKE" | "NOT" => Infix::Test,
                _ => return None,
            },
            _ => return None,
        })
    }

    /// A value, an operator that comes next and what is behind that.
    fn binary(&mut self, left: Node, operator: Operator) -> Result<Node> {
        self.advance()?;
        let is_not = operator == Operator::Is && self.takes_word("NOT")?;
        let right = self.operand(operator.level().tighter())?;
        let node = self.node(Node::Binary(operator, Box::new([left, right])))?;
        self.negated(node, is_not)
    }

    /// A value and a test of it that comes next.
    fn test(&mut self, of: Node) -> Result<Node> {
        let is_not = self.takes_word("NOT")?;
        let tighter = Level::Equality.tighter();
        let node = if self.takes_word("BETWEEN")? {
            let low = self.operand(tighter)?;
            self.word("AND", "AND between the two bounds")?;
            let high = self.operand(tighter)?;
            Node::Between(Box::new([of, low, high]))
        } else if self.takes_word("IN")? {
            self.symbol("(", "( and a list")?;
            Node::In(Box::new(of), self.list()?)
        } else if self.takes_word("LIKE")? {
            let pattern = self.operand(tighter)?;
            let escape = if self.takes_word("ESCAPE")? {
                Some(self.character()?)
            } else {
                None
            };
            Node::Like(Box::new([of, pattern]), escape)
        } else {
            return Err(self.expected("BETWEEN, IN or LIKE"));
        };
        let node = self.node(node)?;
        self.negated(node, is_not)
    }

    fn negated(&mut self, node: Node, is_not: bool) -> Result<Node> {
        if is_not {
            self.node(Node::Not(Box::new(node)))
        } else {
            Ok(node)
        }
    }

    /// A literal, a field, a function or something in brackets.
    fn single(&mut self) -> Result<Node> {
        const EXPECTED: &str = "a value, a field or a function";
        let at = self.at;
        let value = match self.token.clone() {
            Token::Number(number) => Value::Number(number),
            Token::Text(text) => Value::Text(text),
            Token::Bytes(bytes) => Value::Bytes(bytes),
            Token::Quoted(name) => {
                self.advance()?;
                return self.field(name);
            }
            Token::Symbol("(") => {
                self.advance()?;
                return self.bracketed(at, |parser| parser.expression(Level::Or));
            }
            Token::Word(word) => match word.to_ascii_uppercase().as_str() {
                "NULL" => Value::Null,
                "TRUE" => Value::Boolean(true),
                "FALSE" => Value::Boolean(false),
                "CASE" => {
                    self.advance()?;
                    return self.case(at);
                }
                reserved if RESERVED.contains(&reserved) => {
                    return Err(self.expected(EXPECTED));
                }
                upper => {
                    self.advance()?;
                    return self.named(at, word, upper);
                }
            },
            Token::Symbol(_) | Token::End => return Err(self.expected(EXPECTED)),
        };
        self.advance()?;
        self.node(Node::Literal(value))
    }

    /// What begins with a name: a function, a cast, a timestamp or a field.
    fn named(&mut self, at: usize, word: &str, upper: &str) -> Result<Node> {
        match &self.token {
            Token::Symbol("(") if upper == "CAST" => {
                self.advance()?;
                self.cast(at)
            }
            Token::Symbol("(") => {
                let Some(function) = Function::named(word) else {
                    let nearest = Function::nearest(word);
                    return Err(self.lexer.fault(at, ExprFault::Function { nearest }));
                };
                self.advance()?;
                self.call(at, function)
            }
            Token::Text(text) if upper == "TIMESTAMP" => {
                let Some(micros) = timestamp::read(text) else {
                    return Err(self.expected("a time like '2026-11-26T08:00:00Z'"));
                };
                self.advance()?;
                self.node(Node::Literal(Value::Timestamp(micros)))
            }
            _ => self.field(word.to_owned()),
        }
    }

    /// A field whose first name was read.
    fn field(&mut self, first: String) -> Result<Node> {
        let mut names = vec![first];
        while self.takes(".")? {
            match self.token.clone() {
                Token::Quoted(name) => names.push(name),
                Token::Word(word) if !is_reserved(word) => names.push(word.to_owned()),
                _ => return Err(self.expected("the name of a field")),
            }
            self.advance()?;
        }
        self.node(Node::Field(FieldPath::new(names)))
    }

    fn call(&mut self, at: usize, function: &'static Function) -> Result<Node> {
        let arguments = if self.takes(")")? {
            Vec::new()
        } else {
            self.list()?
        };
        if !(function.least..=function.most).contains(&arguments.len()) {
            let fault = ExprFault::Arguments {
                function: function.name,
                least: function.least,
                most: function.most,
            };
            return Err(self.lexer.fault(at, fault));
        }
        self.node(Node::Call(function, arguments))
    }

    fn cast(&mut self, at: usize) -> Result<Node> {
        let (part, to) = self.bracketed(at, |parser| {
            let part = parser.expression(Level::Or)?;
            parser.word("AS", "AS and a type")?;
            let named = |to: &Type| parser.is_word(to.name());
            let Some(to) = Type::ALL.into_iter().find(named) else {
                return Err(parser.expected("integer, number, float or text"));
            };
            parser.advance()?;
            Ok((part, to))
        })?;
        self.node(Node::Cast(Box::new(part), to))
    }

    fn case(&mut self, at: usize) -> Result<Node> {
        self.enter(at)?;
        let of = if self.is_word("WHEN") {
            None
        } else {
            Some(Box::new(self.expression(Level::Or)?))
        };
        let mut branches = Vec::new();
        while self.takes_word("WHEN")? {
            let when = self.expression(Level::Or)?;
            self.word("THEN", "THEN and a value")?;
            branches.push([when, self.expression(Level::Or)?]);
        }
        if branches.is_empty() {
            return Err(self.expected("WHEN and a condition"));
        }
        let otherwise = if self.takes_word("ELSE")? {
            Some(Box::new(self.expression(Level::Or)?))
        } else {
            None
        };
        self.word("END", "WHEN, ELSE or END")?;
        self.open -= 1;
        self.node(Node::Case {
            of,
            branches,
            otherwise,
        })
    }

    /// The expressions of a list whose bracket was read, and the other bracket.
    fn list(&mut self) -> Result<Vec<Node>> {
        self.bracketed(self.at, |parser| {
            let mut list = vec![parser.expression(Level::Or)?];
            while parser.takes(",")? {
                list.push(parser.expression(Level::Or)?);
            }
            Ok(list)
        })
    }

    /// What stands behind a bracket that was read, and the other bracket.
    fn bracketed<T>(&mut self, at: usize, read: impl Fn(&mut Self) -> Result<T>) -> Result<T> {
        self.enter(at)?;
        let content = read(self)?;
        self.symbol(")", "an operator, or )")?;
        self.open -= 1;
        Ok(content)
    }

    /// Goes into brackets.
    fn enter(&mut self, at: usize) -> Result<()> {
        self.open += 1;
        if self.open > EXPR_DEPTH_MAX {
            return Err(self.lexer.fault(at, ExprFault::TooDeep));
        }
        Ok(())
    }

    /// One character between quotation marks.
    fn character(&mut self) -> Result<char> {
        let mut chars = match &self.token {
            Token::Text(text) => text.chars(),
            _ => "".chars(),
        };
        let (Some(c), None) = (chars.next(), chars.next()) else {
            return Err(self.expected("one character between '"));
        };
        self.advance()?;
        Ok(c)
    }

    /// Counts a node.
    fn node(&mut self, node: Node) -> Result<Node> {
        self.nodes += 1;
        if self.nodes > EXPR_NODES_MAX {
            return Err(self.lexer.fault(self.at, ExprFault::TooLarge));
        }
        Ok(node)
    }

    fn advance(&mut self) -> Result<()> {
        (self.at, self.token) = self.lexer.next()?;
        Ok(())
    }

    fn is_word(&self, word: &str) -> bool {
        matches!(&self.token, Token::Word(next) if next.eq_ignore_ascii_case(word))
    }

    /// Goes on if the next word is this one.
    fn takes_word(&mut self, word: &str) -> Result<bool> {
        let is_next = self.is_word(word);
        if is_next {
            self.advance()?;
        }
        Ok(is_next)
    }

    fn takes(&mut self, symbol: &'static str) -> Result<bool> {
        let is_next = self.token == Token::Symbol(symbol);
        if is_next {
            self.advance()?;
        }
        Ok(is_next)
    }

    fn word(&mut self, word: &str, expected: &'static str) -> Result<()> {
        if self.takes_word(word)? {
            Ok(())
        } else {
            Err(self.expected(expected))
        }
    }

    fn symbol(&mut self, symbol: &'static str, expected: &'static str) -> Result<()> {
        if self.takes(symbol)? {
            Ok(())
        } else {
            Err(self.expected(expected))
        }
    }

    fn expected(&self, expected: &'static str) -> BadExpr {
        self.lexer.fault(self.at, ExprFault::Expected(expected))
    }
}

fn is_reserved(word: &str) -> bool {
    RESERVED.iter().any(|one| one.eq_ignore_ascii_case(word))
}
