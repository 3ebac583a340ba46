"""What is a definition and what is a reference, language by language."""

from __future__ import annotations

import pytest

from workflows.repomap.extract import MAX_DEFINITIONS, MAX_REFERENCES, extract_symbols
from workflows.repomap.languages import LANGUAGES, language_of

SOURCES: dict[str, tuple[str, list[tuple[int, int, str]], set[str]]] = {
    "python": (
        """
LIMIT = 3
class Store(Base):
    @cached
    def read(
        self, key: str,
    ) -> bytes:  # a comment
        '''Text.'''
        def local(): ...
        return open_file(key)
async def main(): await Store().read(LIMIT)
""",
        [
            (2, 0, "LIMIT = 3"),
            (3, 0, "class Store(Base)"),
            (5, 1, "def read(self, key: str) -> bytes"),
            (11, 0, "async def main()"),
        ],
        {"Base", "cached", "open_file", "Store", "read", "LIMIT"},
    ),
    "javascript": (
        """
export const LIMIT = 3;
export class Store extends Base {
  read(key) { return openFile(key); }
  static of = (x) => new Store(x);
}
const plus = (a, b) => a + b;
function* walk(tree) { function inner() {} yield tree.left; }
module.exports = { plus };
""",
        [
            (2, 0, "export const LIMIT = 3;"),
            (3, 0, "export class Store extends Base"),
            (4, 1, "read(key)"),
            (5, 1, "static of = (x) => new Store(x);"),
            (7, 0, "const plus = (a, b) => a + b;"),
            (8, 0, "function* walk(tree)"),
        ],
        {"Base", "openFile", "left", "plus", "Store"},
    ),
    "typescript": (
        """
export interface Reader<T> { read(key: string): T; }
export type Key = string | Name;
export enum Colour { Red }
export abstract class Store implements Reader<Blob> {
  abstract close(): void;
  read(key: Key): Blob { return this.load(key); }
}
declare function later(): void;
""",
        [
            (2, 0, "export interface Reader<T>"),
            (2, 1, "export interface Reader<T> { read(key: string): T; }"),
            (3, 0, "export type Key = string | Name;"),
            (4, 0, "export enum Colour"),
            (5, 0, "export abstract class Store implements Reader<Blob>"),
            (6, 1, "abstract close(): void;"),
            (7, 1, "read(key: Key): Blob"),
            (9, 0, "declare function later(): void;"),
        ],
        {"Name", "Blob", "load", "Reader", "Key"},
    ),
    "tsx": (
        "export function Page({ title }: Props) { return <Layout title={title}>{render(title)}</Layout>; }\n",
        [(1, 0, "export function Page({ title }: Props)")],
        {"Props", "Layout", "render"},
    ),
    "go": (
        """package store
const Limit = 3
type Store struct { db *sql.DB }
type Reader interface { Read(key string) ([]byte, error) }
func (s *Store) Read(key string) ([]byte, error) { return openFile(key, Limit) }
func New() *Store { return &Store{} }
""",
        [
            (2, 0, "const Limit = 3"),
            (3, 0, "type Store struct { db *sql.DB }"),
            (4, 0, "type Reader interface { Read(key string) ([]byte, error) }"),
            (4, 1, "type Reader interface { Read(key string) ([]byte, error) }"),
            (5, 0, "func (s *Store) Read(key string) ([]byte, error)"),
            (6, 0, "func New() *Store"),
        ],
        {"openFile", "Limit", "Store"},
    ),
    "rust": (
        """
pub const LIMIT: usize = 3;
pub struct Store { inner: Inner }
pub trait Reader { fn read(&self) -> Blob; }
impl Reader for Store {
    fn read(&self) -> Blob { open_file(LIMIT) }
}
mod inside { pub enum Kind { A } }
macro_rules! twice { ($x:expr) => { $x } }
""",
        [
            (2, 0, "pub const LIMIT: usize = 3;"),
            (3, 0, "pub struct Store"),
            (4, 0, "pub trait Reader"),
            (4, 1, "pub trait Reader { fn read(&self) -> Blob; }"),
            (5, 0, "impl Reader for Store"),
            (6, 1, "fn read(&self) -> Blob"),
            (8, 0, "mod inside"),
            (8, 1, "mod inside { pub enum Kind"),
            (9, 0, "macro_rules! twice { ($x:expr) => { $x } }"),
        ],
        {"Inner", "Blob", "open_file", "LIMIT", "Reader"},
    ),
    "java": (
        """
@Entity
public class Store implements Reader {
    public Store(Base base) { this.base = base; }
    @Override
    public byte[] read(String key) { return openFile(key); }
    enum Kind { A }
}
record Point(int x, int y) {}
""",
        [
            (3, 0, "public class Store implements Reader"),
            (4, 1, "public Store(Base base)"),
            (6, 1, "public byte[] read(String key)"),
            (7, 1, "enum Kind"),
            (9, 0, "record Point(int x, int y)"),
        ],
        {"Entity", "Reader", "Base", "openFile", "base"},
    ),
    "c": (
        """
#define LIMIT 3
#define TWICE(x) ((x) * 2)
struct store { struct inner *next; };
typedef struct store store_t;
char *read_key(const char *key);
static int
open_store(store_t *store) { return fetch_all(store->next, LIMIT); }
""",
        [
            (2, 0, "#define LIMIT 3"),
            (3, 0, "#define TWICE(x) ((x) * 2)"),
            (4, 0, "struct store"),
            (5, 0, "typedef struct store store_t;"),
            (6, 0, "char *read_key(const char *key);"),
            (8, 0, "open_store(store_t *store)"),
        ],
        {"inner", "fetch_all", "LIMIT", "store_t", "next"},
    ),
    "cpp": (
        """
namespace shop {
class Store : public Base {
 public:
  int size() const { return count_; }
  Blob read(const Key& key);
};
using Keys = std::vector<Key>;
}
Blob shop::Store::read(const Key& key) { return open_file(key); }
""",
        [
            (2, 0, "namespace shop"),
            (3, 1, "class Store : public Base"),
            (5, 2, "int size() const"),
            (6, 2, "Blob read(const Key& key);"),
            (8, 1, "using Keys = std::vector<Key>;"),
            (10, 0, "Blob shop::Store::read(const Key& key)"),
        ],
        {"Base", "count_", "Key", "open_file", "Blob", "shop"},
    ),
    "ruby": (
        """
module Shop
  LIMIT = 3
  class Store < Base
    def read(key)
      open_file(key, LIMIT)
    end
    def self.empty? = true
  end
end
""",
        [
            (2, 0, "module Shop"),
            (3, 1, "LIMIT = 3"),
            (4, 1, "class Store < Base"),
            (5, 2, "def read(key)"),
            (8, 2, "def self.empty? ="),
        ],
        {"Base", "open_file", "LIMIT"},
    ),
    "php": (
        """<?php
namespace Shop;
const LIMIT = 3;
final class Store extends Base implements Reader {
    public function read(string $key): string { return open_file($key); }
}
function main(): void { (new Store())->read(LIMIT); }
""",
        [
            (3, 0, "const LIMIT = 3;"),
            (4, 0, "final class Store extends Base implements Reader"),
            (5, 1, "public function read(string $key): string"),
            (7, 0, "function main(): void"),
        ],
        {"Base", "Reader", "open_file", "Store", "read", "LIMIT"},
    ),
    "c_sharp": (
        """
namespace Shop;
public record Point(int X, int Y);
public class Store : Base {
    public int Size { get; set; }
    public Store(Key key) { }
    public byte[] Read(Key key) => OpenFile(key);
}
""",
        [
            (3, 0, "public record Point(int X, int Y);"),
            (4, 0, "public class Store : Base"),
            (5, 1, "public int Size { get; set; }"),
            (6, 1, "public Store(Key key)"),
            (7, 1, "public byte[] Read(Key key)"),
        ],
        {"Base", "Key", "OpenFile"},
    ),
}


@pytest.mark.parametrize("language", LANGUAGES)
def test_definitions_and_references(language: str) -> None:
    """Each language gives its definitions with line, depth and signature, and the names it uses."""
    source, definitions, references = SOURCES[language]
    symbols = extract_symbols(language, source.encode())
    assert [(one.line, one.depth, one.signature) for one in symbols.definitions] == definitions
    assert references <= {name for name, _ in symbols.references}


def test_a_name_is_not_its_own_reference() -> None:
    """A definition's name counts as a reference only where it is used again."""
    once = extract_symbols("python", b"def lonely(): pass\n")
    twice = extract_symbols("python", b"def lonely(): pass\nlonely()\nlonely()\n")
    assert once.references == ()
    assert twice.references == (("lonely", 2),)


@pytest.mark.parametrize(
    "content",
    [b"\x7fELF\0\0def f(): pass\n", b"def f(): pass;" * 2_000, b""],
    ids=["binary", "minified", "empty"],
)
def test_no_source_no_symbols(content: bytes) -> None:
    """Binary, minified and empty files have no symbols, whatever they are called."""
    assert extract_symbols("python", content) == extract_symbols("python", b"")


def test_broken_source_keeps_what_is_whole() -> None:
    """Syntax errors and bytes that are not UTF-8 cost what they spoil and nothing else."""
    content = b"def before(): pass\n\xff\xfe ((( \ndef after\xe9(: pass\nclass Last: pass\n"
    names = [one.name for one in extract_symbols("python", content).definitions]
    assert "before" in names
    assert "Last" in names


def test_many_names_are_capped() -> None:
    """A hundred thousand identifiers give a bounded answer, the same every time."""
    content = "".join(f"name_{number} = other_{number}\n" for number in range(20_000)).encode()
    symbols = extract_symbols("python", content)
    assert len(symbols.definitions) == MAX_DEFINITIONS
    assert len(symbols.references) == MAX_REFERENCES
    assert symbols == extract_symbols("python", content)


def test_a_long_signature_is_cut() -> None:
    """A signature is one line of bounded length."""
    content = b"def f(" + b"argument,\n" * 500 + b"): pass\n"
    (one,) = extract_symbols("python", content).definitions
    assert len(one.signature) == 120
    assert "\n" not in one.signature


def test_paths_choose_the_language() -> None:
    """A path's ending says its language; an unknown or missing one says none."""
    assert language_of("a/b.PY") == "python"
    assert language_of("a/b.d.ts") == "typescript"
    assert language_of("a.py/README") is None
    assert language_of("py") is None
